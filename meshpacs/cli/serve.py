"""A node and its front doors in one nursery, from `ready` to the clean end."""

import json
import os
import signal
import sys
import threading
from functools import partial

import structlog
import trio

from meshpacs.cli.systemd import notify
from meshpacs.gateways.dicom.courier import Courier
from meshpacs.gateways.dicom.door import DicomDoor
from meshpacs.gateways.dicom.reporting import Reporter
from meshpacs.gateways.dicom.requested import Requests
from meshpacs.gateways.dicom.session import House
from meshpacs.gateways.dicom.titles import Titles
from meshpacs.gateways.http import admin_app
from meshpacs.gateways.listen import serve_http
from meshpacs.model.address import parse_address
from meshpacs.model.charsets import default_codec
from meshpacs.model.ids import NodeId
from meshpacs.node.book import Book
from meshpacs.node.config import ConfigFile
from meshpacs.node.credentials import Keeper
from meshpacs.node.home import Home
from meshpacs.node.logs import set_up_logs
from meshpacs.node.memory import give_back, share_arenas
from meshpacs.node.node import Node, open_node
from meshpacs.node.worklist import Worklist

CONFIG_LOOK_S = 2.0
"""Between looks at the configuration file. A guess: soon enough for somebody who edits it."""

STOP_S = 5.0
"""How long a stop may take before the process ends as it is: the archive survives a kill."""

OPEN_FILES = 4096
"""Files that a node asks for: about 900 sockets (`limits.py`), and an archive at work. A guess."""

log = structlog.get_logger()

if sys.platform != "win32":
    import resource


async def serve(
    home: Home, config: ConfigFile, *, only_neighbours: tuple[NodeId, ...] = ()
) -> None:
    """Run until told to stop, by a signal or over the admin API.

    With `only_neighbours` the overlay is frozen, for counts and tests.

    Raises:
        LocalFault: the home is in use, or nothing can listen where it should.
    """
    _allow_files()
    share_arenas()
    opening = open_node(home, config, only_neighbours=only_neighbours)
    async with opening as node, trio.open_nursery() as watchers:
        await watchers.start(_obey_signals, node, config)
        watchers.start_soon(_watch_config, node, config)
        watchers.start_soon(give_back)
        host = parse_address(config.config.http_listen, any_port=True)[0]
        requests = Requests()
        keeper = Keeper(home)
        await watchers.start(keeper.watch)
        app = admin_app(
            node.mesh,
            token=home.admin_token(),
            host=host,
            requests=requests,
            credentials=lambda: keeper.current,
        )
        stopping = trio.Event()

        async def share(titles: tuple[str, ...]) -> None:
            await node.mesh.share(titles, courier)

        book = Book(home.ae_book, share)
        ours = partial(_titles, config)
        courier = Courier(node.mesh, book, ours, lambda: keeper.current)
        await watchers.start(book.watch)
        private = partial(_private_classes, config)
        reporter = Reporter(node.mesh, book, private, lambda: keeper.current)
        await watchers.start(reporter.run)
        async with trio.open_nursery() as doors:
            http = await doors.start(serve_http, app, config.config.http_listen, stopping)
            door = dicom_door(node, home, config, book, reporter, requests, keeper)
            dicom = await doors.start(door.serve, config.config.dicom_listen, stopping)
            tls = await doors.start(door.serve_tls, config.config.dicom_tls_listen, stopping)
            _say_ready(home, node, http, dicom, tls)
            await node.stopping.wait()
            log.info("stopping")
            notify("STOPPING=1")
            _end_anyway_after(STOP_S)
            stopping.set()
        watchers.cancel_scope.cancel()
    log.info("stopped")


def _allow_files() -> None:
    """Raise the soft limit on open files, which is 1,024 or, on macOS, 256; never lower it."""
    if sys.platform == "win32":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def dicom_door(
    node: Node,
    home: Home,
    config: ConfigFile,
    book: Book,
    reporter: Reporter,
    requests: Requests,
    keeper: Keeper,
) -> DicomDoor:
    """The DICOM front door, which asks the configuration anew for each caller."""
    titles = Titles(lambda: config.config.ae_titles, book)
    codec = partial(default_codec, config.config.default_charset)
    worklist = Worklist(config.config.worklist_folder(home.folder), config.config.default_charset)
    house = House(
        node.mesh,
        titles,
        codec,
        partial(_private_classes, config),
        worklist,
        reporter,
        requests,
        lambda: keeper.current,
        config.config.issuer,  # as the archive has it until the next start
    )
    return DicomDoor(house)


def _titles(config: ConfigFile) -> tuple[str, ...]:
    return config.config.ae_titles


def _private_classes(config: ConfigFile) -> tuple[str, ...]:
    return config.config.private_classes


def _say_ready(
    home: Home, node: Node, http: str, dicom: tuple[str, ...], tls: tuple[str, ...]
) -> None:
    facts = {
        "node": node.node_id.hex(),
        "name": node.config.config.name,
        "mesh": list(node.listening),
        "http": http,
        "dicom": list(dicom),
        "dicom_tls": list(tls),
    }
    home.announce(facts)
    print(
        f"ready {json.dumps({'pid': os.getpid(), 'home': str(home.folder), **facts})}", flush=True
    )
    log.info(
        "ready",
        mesh=facts["mesh"],
        http=http,
        dicom=facts["dicom"],
        dicom_tls=facts["dicom_tls"],
    )
    notify("READY=1")


async def _obey_signals(
    node: Node,
    config: ConfigFile,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """The first signal begins a clean stop; after that the platform's own handling is back."""
    wanted = [signal.SIGINT, signal.SIGTERM]
    if sys.platform == "win32":
        wanted.append(signal.SIGBREAK)
    else:
        wanted.append(signal.SIGHUP)
    with trio.open_signal_receiver(*wanted) as signals:
        task_status.started()
        async for number in signals:
            if sys.platform != "win32" and number == signal.SIGHUP:
                await _reload(node, config)
            else:
                log.info("signal", number=int(number))
                node.mesh.stop()
                return


async def _watch_config(node: Node, config: ConfigFile) -> None:
    while True:
        await trio.sleep(CONFIG_LOOK_S)
        if config.touched:
            await _reload(node, config)


async def _reload(node: Node, config: ConfigFile) -> None:
    view = await node.mesh.reload()
    set_up_logs(config.config.log_level, config.config.log_format)
    if view.refused:
        log.warning("config_kept_out", what=view.refused, mend=view.mend)
    else:
        log.info("config_in_force", waits_for_restart=list(view.waits_for_restart))


def _end_anyway_after(seconds: float) -> None:
    # A client of the admin API that has stopped reading holds the HTTP server in a shielded send,
    # and a worker thread may wait for a dying disk; neither may keep a clinic's service from
    # being restarted. A thread, because the loop itself may be what is stuck.
    def end() -> None:
        sys.stderr.flush()
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
