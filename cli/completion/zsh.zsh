#compdef skiff
_skiff() {
  local line value
  local -a found
  for line in "${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    [[ -z "$line" ]] && continue
    value="${line%%$'\t'*}"
    found+=("${value//:/\\:}:${line#*$'\t'}")
  done
  if (( $#found )); then
    _describe 'skiff' found
  else
    _files
  fi
}
# Autoloaded from fpath the file is the function; sourced, it defines it.
if [ "$funcstack[1]" = "_skiff" ]; then
  _skiff "$@"
else
  compdef _skiff skiff
fi
