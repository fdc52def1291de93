"""What goes wrong with hosts, links, disks and clocks; each fault is told to the observers."""

from meshpacs.model.ids import Micros
from meshpacs_sim.world.acts import Fin
from meshpacs_sim.world.cellar import Canned
from meshpacs_sim.world.flooders import Flooder
from meshpacs_sim.world.hosts import Asking, Copy, Host, Liar
from meshpacs_sim.world.world import EPOCH_US, World

# ---------------------------------------------------------------- hosts


def freeze(world: World, index: int) -> None:
    """SIGSTOP: the kernel takes in what comes, the node does nothing."""
    host = world.hosts[index]
    host.frozen = True
    for asking in host.asked.values():
        asking.frozen = asking.frozen or asking.report is None
    world.tell("troubled", f"freeze {index}")


def thaw(world: World, index: int) -> None:
    """SIGCONT: everything that came is dealt with now, in the order in which it came."""
    host = world.hosts[index]
    world.tell("troubled", f"thaw {index}")
    host.frozen = False
    host.unread.clear()
    inbox, host.inbox = host.inbox, []
    for _, _, src, _, _, act in inbox:
        world.happen(host, src, act)


def crash(world: World, index: int, *, dark: bool = False) -> None:
    """The node dies; its kernel closes its links, unless the whole machine goes dark."""
    host = world.hosts[index]
    world.tell("troubled", f"crash {index} dark={dark}")
    world.tell("crashed", index)
    host.engine, host.frozen, host.dark = None, False, dark
    host.cut.clear()
    world.network.died(index)
    for peer, serial in host.links.items():
        if not dark:
            world.network.post(world.network.control(index, peer), Fin(serial), world.now)
    for asking in host.asked.values():
        asking.lost = asking.lost or asking.report is None
    for lost in (host.links, host.dials, host.calls, host.inbox, host.unread, host.asked):
        lost.clear()
    host.disk.held.clear()
    world.switchboard.close_all_direct(index)


def cancel(world: World, asking: Asking) -> None:
    """The caller goes away, if the query is still open and its node does anything."""
    if asking.report is None and not asking.lost and world.hosts[asking.origin].able:
        world.cancel(asking)


def restart(world: World, index: int) -> None:
    """A node that is down begins its next life."""
    world.tell("troubled", f"restart {index}")
    world.start(world.hosts[index])


def back_up(world: World, index: int) -> None:
    """Copy what this node keeps durably, as a backup of its home does."""
    host = world.hosts[index]
    host.copy = Copy(host.stored_boot, dict(host.kept_boots), tuple(host.kept_roster))


def roll_back(world: World, index: int) -> None:
    """A node that is down finds an old copy of what it kept in the place of what it knew last."""
    host = world.hosts[index]
    world.tell("troubled", f"roll_back {index}")
    if host.copy is not None:
        host.stored_boot = host.copy.stored_boot
        host.kept_boots = dict(host.copy.kept_boots)
        host.kept_roster = list(host.copy.kept_roster)


def lose_disk(world: World, index: int) -> None:
    """A node that is down finds its home empty but for its key, which was printed or copied.

    Its archive, its boot number, what it had heard of others and the roster are gone for good.
    """
    host = world.hosts[index]
    world.tell("troubled", f"lose_disk {index}")
    host.stored_boot, host.kept_boots, host.kept_roster = 0, {}, []
    host.cellar = Canned()


# ---------------------------------------------------------------- members that mean harm


def lie(world: World, index: int, liar: Liar) -> None:
    """From here on what this member sends passes through somebody's hands."""
    world.tell("troubled", f"lie {index}")
    world.hosts[index].liar, world.hosts[index].lied = liar, True


def repent(world: World, index: int) -> None:
    """A liar sends what its engine says again."""
    world.tell("troubled", f"repent {index}")
    world.hosts[index].liar = None


def flood(world: World, index: int, flooder: Flooder, queries: int) -> None:
    """A member asks everyone, all at once, whatever its own budget says."""
    world.tell("troubled", f"flood {index} {queries}")
    world.hosts[index].lied = True
    flooder.burst(queries)


# ---------------------------------------------------------------- links


def snap(world: World, a: int, b: int) -> None:
    """A link breaks, and both sides learn of it at once."""
    world.tell("troubled", f"snap {a}-{b}")
    for here, there in ((a, b), (b, a)):
        host = world.hosts[here]
        if there in host.links and not host.frozen:
            world.switchboard.lose(host, there)


def half_open(world: World, src: int, dst: int) -> None:
    """What `src` sends over its present link to `dst` is lost, and neither side is told."""
    world.tell("troubled", f"half_open {src}>{dst}")
    channel = world.network.control(src, dst)
    channel.vanished = world.hosts[src].links.get(dst, channel.vanished)


def clog(world: World, src: int, dst: int) -> None:
    """Nothing moves from `src` to `dst` until it is unclogged; the outbox fills."""
    world.tell("troubled", f"clog {src}>{dst}")
    world.network.clog(world.network.control(src, dst))


def unclog(world: World, src: int, dst: int) -> None:
    """What has waited goes on its way, in order."""
    world.tell("troubled", f"unclog {src}>{dst}")
    world.network.unclog(world.network.control(src, dst), world.now)


def slow(world: World, src: int, dst: int, pace_us: Micros) -> None:
    """Messages from `src` to `dst` arrive at least so far apart; 0 mends it."""
    world.tell("troubled", f"slow {src}>{dst} {pace_us}")
    world.network.control(src, dst).pace_us = pace_us


def divide(world: World, sides: list[int]) -> None:
    """Hosts whose numbers differ cannot reach each other; links between them clog."""
    world.tell("troubled", f"divide {sides}")
    world.network.divide(sides, world.now)


def heal(world: World) -> None:
    """Everybody can reach everybody again."""
    divide(world, [0] * len(world.hosts))


# ---------------------------------------------------------------- disks and clocks


def slow_disk(world: World, index: int, delay_us: Micros) -> None:
    """Searches that begin from now on take so long."""
    world.tell("troubled", f"slow_disk {index} {delay_us}")
    world.hosts[index].disk.delay_us = delay_us


def break_disk(world: World, index: int) -> None:
    """Searches that begin from now on fail."""
    world.tell("troubled", f"break_disk {index}")
    world.hosts[index].disk.broken = True


def stick_disk(world: World, index: int) -> None:
    """No search ends until the disk is mended."""
    world.tell("troubled", f"stick_disk {index}")
    world.hosts[index].disk.stuck = True


def mend_disk(world: World, index: int) -> None:
    """A broken or stuck disk works again, and gives what it owes."""
    host = world.hosts[index]
    world.tell("troubled", f"mend_disk {index}")
    host.disk.broken = host.disk.stuck = False
    held, host.disk.held = host.disk.held, []
    for found in held:
        world.push_own(host, world.now, found)


def set_clock(world: World, index: int, offset_us: Micros) -> None:
    """A wall clock jumps to `offset_us` ahead of the true time; monotonic time does not."""
    world.tell("troubled", f"set_clock {index} {offset_us}")
    host: Host = world.hosts[index]
    host.wall_offset_us, host.clock_wrong_us = offset_us, world.now
    if host.engine is not None:
        host.engine.clock(EPOCH_US + offset_us)
