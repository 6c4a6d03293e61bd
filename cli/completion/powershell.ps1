# PowerShell completion for skiff
Register-ArgumentCompleter -Native -CommandName skiff -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $words = @($commandAst.CommandElements | Where-Object { $_.Extent.StartOffset -lt $cursorPosition } | ForEach-Object { $_.ToString() })
  $program = $words[0]
  $words = @($words | Select-Object -Skip 1)
  # PowerShell before 7.3 hands over no empty words, so an empty one is said in another way.
  $ask = '__complete'
  if ($wordToComplete -eq '') { $ask = '__complete-next' }
  & $program $ask @words 2>$null | ForEach-Object {
    $value, $what = $_ -split "`t", 2
    if (-not $what) { $what = $value }
    [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $what)
  }
}
