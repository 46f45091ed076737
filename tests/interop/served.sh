# Sourced: a demonstration that stays up, with a spare agency, until the script ends.
#
#   serve_demo FOLDER    sets $visitor to the spare agency's folder

serve_demo() {
  local folder=$1
  target/debug/cairn demo --serve --keep "$folder" >"$folder.txt" 2>"$folder.err" &
  served=$!
  trap 'kill -INT "$served" 2>/dev/null || true; wait "$served" 2>/dev/null || true' EXIT
  for _ in $(seq 1200); do
    grep -q 'With Python' "$folder.err" && break
    kill -0 "$served" || { cat "$folder.err" >&2; exit 1; }
    sleep 0.1
  done
  visitor=$folder/systems/visitor/case-management
}
