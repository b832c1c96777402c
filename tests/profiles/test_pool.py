"""Exit codes of workers that end while others start."""

import time
import traceback
from multiprocessing import forkserver

from rocmoe.profiles.job import Job
from rocmoe.profiles.pool import Pool

CASE = "topk_softmax:T={},E=16,k=2:fp32:renormalize=true:normal:contiguous"


def test_two_workers_that_die_at_once_each_keep_their_own_exit_code(monkeypatch, tmp_path):
    read_signed = forkserver.read_signed

    def read_slowly(descriptor):
        """A thread that reads its own worker's code is slow, one that starts a worker is not."""
        if all(frame.name != "_cleanup" for frame in traceback.extract_stack()):
            time.sleep(0.2)
        return read_signed(descriptor)

    monkeypatch.setattr(forkserver, "read_signed", read_slowly)
    (tmp_path / "dying.py").write_text(
        "import os, signal\ndef topk_softmax(gating_output, topk, renormalize):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    selector = f"user:{tmp_path / 'dying.py'}:topk_softmax"
    jobs = [Job(CASE.format(tokens), selector, "cpu", strict=False) for tokens in range(1, 7)]
    replies = []
    with Pool(2, 30.0, limit_memory=False) as pool:
        pool.run(jobs, lambda index, reply: replies.append(reply))
    assert [reply.status for reply in replies] == ["crash"] * len(jobs)
    assert {reply.reason for reply in replies} == {"the process died of SIGKILL before it answered"}
