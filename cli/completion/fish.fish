# fish completion for skiff
function __skiff_found
  set -l words (commandline -opc)
  set -l current (commandline -ct)
  set -g __skiff_candidates ($words[1] __complete $words[2..-1] "$current" 2>/dev/null)
  test (count $__skiff_candidates) -gt 0
end
complete -c skiff -e
complete -c skiff -n __skiff_found -f -a '$__skiff_candidates'
