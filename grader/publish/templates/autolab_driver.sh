#!/bin/sh
# Run by autograde-Makefile: sh tracegrade/driver.sh HANDIN. Prints what the student reads, and in the last line the
# scores. The kit is the image's, where that is the one that this lab was published with; else it is installed here,
# which takes half a minute and a network.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
image=/opt/tracegrade
if cmp -s "$here/kit.digest" "$image/kit.digest" && [ -x "$image/.venv/bin/python" ]; then
    python=$image/.venv/bin/python
else
    sh "$here/tools/setup.sh" core >"$here/setup.log" 2>&1 || {
        echo 'The image of this lab does not hold the kit, and it could not be installed:'
        tail -n 3 "$here/setup.log"
        exit 1
    }
    python=$here/.venv/bin/python
fi
exec "$python" -I -m grader.grading.on_platform autolab --course "$here" --submission "$1" --deadline @DEADLINE@@OPTIONS@
