#!/usr/bin/env bash
# Scores a file: nightly.sh INPUT OUTPUT. For cron, which mails what is printed here; ends with 0 if OUTPUT is there.
set -uo pipefail

input=${1:?nightly.sh INPUT OUTPUT}
output=${2:?nightly.sh INPUT OUTPUT}
tries=${TRIES:-3}
pause=${PAUSE:-300} # seconds

tell() { printf '%s: %s\n' "$output" "$1" >&2; }

for ((try = 1; ; try++)); do
  if [ -e "$input" ]; then
    score "$input" -o "$output" --quiet --max-drift 0.1 --summary "$output.run.json" --report "$output.run.html"
    code=$?
  else
    tell "the input $input is not there"
    code=4
  fi
  case $code in
    0 | 3)
      ((try == 1)) || tell "try $try succeeded"
      ((code == 0)) || tell "published, but look: records were rejected, or the data has drifted; see $output.run.html"
      exit 0
      ;;
    2) tell "the command is wrong, and will be tomorrow: mend it" ;;
    5) tell "the model or the GPU was refused, see above" ;;
    126 | 127) tell "score cannot be started: is its folder in PATH?" ;;
    130 | 143) tell "stopped; the next run goes on where this one was" ;;
    141) tell "whoever read the output went away" ;;
    *) # 1: disk full, a read error, another run; 4: the input, perhaps not all there yet; 137: killed, perhaps for memory
      if ((try < tries)); then
        sleep "$pause"
        continue # goes on where it stopped
      fi
      tell "given up after $tries tries with exit code $code; what was done is kept, and the next run goes on"
      ;;
  esac
  exit "$code"
done
