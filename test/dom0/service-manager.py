#!/usr/bin/env python3
"""service-manager.py COMMAND...: plays systemd for a daemon in a dom0 that has none.

As a unit with Type=notify, NotifyAccess=all, Restart=always and a descriptor store
(sd_notify(3), sd_pid_notify_with_fds(3)): it keeps what it is given by FDSTORE until FDSTOREREMOVE
or a hang-up, follows MAINPID, and when the main process has ended it kills what is left of it, as
systemd does with the control group, and starts the command anew with what it has kept. Every start
and every end is a line on standard error.
"""
import contextlib
import ctypes
import fcntl
import os
import select
import signal
import socket
import sys
import time

NOTIFY_PATH = "/run/test-service-manager"
PR_SET_CHILD_SUBREAPER = 36
MESSAGE_BYTES_MAX = 4096
DESCRIPTORS_MAX = 253
FIRST_FD = 3
RESTART_SECONDS = 0.1  # RestartSec=100ms


class Manager:
    def __init__(self, command):
        self.command = command
        self.kept = {}  # (name, inode number) -> descriptor
        self.main = 0
        if os.path.exists(NOTIFY_PATH):
            os.unlink(NOTIFY_PATH)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(NOTIFY_PATH)
        self.poll = select.poll()
        self.poll.register(self.notify, select.POLLIN)
        # Of processes that lose their parent the next one is ours: an update's new program.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def say(self, text):
        print(f"manager: {text}", file=sys.stderr, flush=True)

    def start(self):
        names, numbers = [name for name, _ in self.kept], list(self.kept.values())
        self.main = os.fork()
        if self.main == 0:
            above = FIRST_FD + len(numbers)
            copies = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, above) for number in numbers]
            for at, number in enumerate(copies):
                os.dup2(number, FIRST_FD + at, inheritable=True)
            environment = {**os.environ, "NOTIFY_SOCKET": NOTIFY_PATH}
            if names:
                environment["LISTEN_PID"] = str(os.getpid())
                environment["LISTEN_FDS"] = str(len(names))
                environment["LISTEN_FDNAMES"] = ":".join(names)
            os.execvpe(self.command[0], self.command, environment)
        self.say(f"started {self.main} with {len(names)} descriptors")

    def take(self):
        data, numbers, _, _ = socket.recv_fds(
            self.notify, MESSAGE_BYTES_MAX, DESCRIPTORS_MAX, socket.MSG_CMSG_CLOEXEC
        )
        told = dict(line.split("=", 1) for line in data.decode().split("\n") if "=" in line)
        name = told.get("FDNAME", "stored")
        if "MAINPID" in told and int(told["MAINPID"]) != self.main:
            self.main = int(told["MAINPID"])
            self.say(f"the main process is {self.main} now")
        if told.get("FDSTOREREMOVE") == "1":
            for key in [key for key in self.kept if key[0] == name]:
                self.drop(key)
        for number in numbers:
            key = (name, os.fstat(number).st_ino)
            if told.get("FDSTORE") != "1" or key in self.kept:
                os.close(number)
                continue
            self.kept[key] = number
            self.poll.register(number, 0)  # It tells hang-ups.

    def drop(self, key):
        number = self.kept.pop(key)
        self.poll.unregister(number)
        os.close(number)

    def descendants(self):
        parents = {}
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                    parents[int(entry)] = int(file.read().rpartition(")")[2].split()[1])
            except OSError:
                continue  # It has ended meanwhile.
        found = {os.getpid()}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return found - {os.getpid()}

    def reap(self):
        """True when the main process was among those that have ended."""
        is_main = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return is_main
            if pid == 0:
                return is_main
            if pid == self.main:
                self.say(f"{pid} ended: {status}")
                is_main = True

    def run(self):
        self.start()
        while True:
            for number, event in self.poll.poll(20):
                if number == self.notify.fileno():
                    self.take()
                elif event & (select.POLLHUP | select.POLLERR):
                    for key in [key for key, value in self.kept.items() if value == number]:
                        self.drop(key)
            if not self.reap():
                continue
            for pid in self.descendants():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(RESTART_SECONDS)
            while select.select([self.notify], [], [], 0)[0]:
                self.take()  # What the dead have said; a MAINPID of theirs means nothing now.
            self.reap()
            self.start()


Manager(sys.argv[1:]).run()
