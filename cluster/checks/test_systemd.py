"""The systemd unit: understood word for word, hardened, and with time for a drain."""

import subprocess

from support import CLUSTER, words

UNIT = CLUSTER / "systemd/quorate.service"
# What `systemd-analyze security` calls exposure, in tenths: 0 is nothing at all, 96 a service without any setting.
EXPOSURE_MAX = 11


def analyze(*arguments):
    return subprocess.run(["systemd-analyze", *map(str, arguments)], capture_output=True, text=True)


def test_systemd_understands_every_line(tmp_path):
    # The program is not installed where this is checked.
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/usr/bin/quorate ", "/bin/true "))
    checked = analyze("verify", copy)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_the_service_is_hardened():
    rated = analyze("security", "--offline=yes", "--no-pager", f"--threshold={EXPOSURE_MAX}", UNIT)
    assert rated.returncode == 0, rated.stdout


def test_what_a_restart_cannot_cure_is_not_restarted():
    assert words(UNIT, "RestartPreventExitStatus") == ["72", "73", "74", "75", "77", "78", "79"]
