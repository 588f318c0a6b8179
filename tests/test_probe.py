"""`quorate probe`: what containers and scripts ask a node without a key, and how they are told by exit codes."""

from support.command import run
from support.node_file import NodeFile


def test_a_node_that_waits_for_its_cluster_is_alive_but_not_ready(tmp_path):
    file = NodeFile(tmp_path)
    process = file.start()
    server = f"http://{file.admin}"
    try:
        file.wait_for(process, "/livez")
        alive, ready = (run("probe", what, "--server", server) for what in ("livez", "readyz"))
        assert (alive.returncode, alive.stdout) == (0, "ok\n")
        assert ready.returncode == 7 and "[-] member" in ready.stderr, ready
        assert run("cluster", "init", "--server", server).returncode == 0
        file.wait_for(process, "/readyz")
        for what in ("startupz", "readyz", "readyz/admin"):
            assert run("probe", what, "--server", server).returncode == 0, what
        alone = run("probe", "clusterz", "--server", server)
        assert alone.returncode == 7 and "tolerance=0" in alone.stderr, alone
    finally:
        process.kill()
    nobody = run("probe", "livez", "--server", server)
    assert nobody.returncode == 5 and server in nobody.stderr, nobody
