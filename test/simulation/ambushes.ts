// Things that go wrong one upon the other, in the order in which they do most harm: chance alone would bring each of these
// about once in hundreds of seeds.
import type { FaultSpec } from './faults.ts'
import type { SimulatedNode } from './node.ts'
import type { Question } from './request.ts'
import { datastoreHost } from './session.ts'
import type { World } from './world.ts'

/** From a commit until those who listen have applied it, about. */
const heardMs = 25
/** Between looks at whether something has come about. */
const lookMs = 3
/** Whoever looks for changes himself has done so by then, and nobody else has helped. */
const restMs = 5500
/** What has not come about by then does not. */
const patienceMs = 4000

export const ambushes = {
  /** What has just been purged is needed, and can't be read. */
  'outage after a join': {
    forMs: [500, 4000],
    begin(world, [who, much]) {
      const node = servingBut(world, who)
      if (!node) return undefined
      const { server, datastore, scheduler } = world
      const ends = new Ends()
      askForEverything(world)
      node.process.kill()
      world.start(node.host, node.directory)
      const since = datastore.head.position
      const isBack = () => (datastore.nodes.get(node.directory.name ?? '')?.life ?? 0) > since
      when(world, ends, isBack, () => {
        scheduler.after(heardMs * (0.3 + much), () => {
          if (ends.areOver) return
          ends.add(world.disturb())
          server.mode = 'down'
          server.breakAll()
          ends.add(() => {
            server.mode = 'up'
          })
          scheduler.after(lookMs, () => askForEverything(world))
        })
      })
      return ends.call
    },
  },
  /** Nobody reaches it, nobody waits for it any more, and it serves on for as long as it may. */
  'forced out while away': {
    forMs: [4000, 12_000],
    begin(world, [who, by]) {
      const node = servingBut(world, who)
      const other = servingBut(world, by, node)
      if (!node || !other) return undefined
      const ends = new Ends()
      ends.add(world.disturb([node.host]))
      isolate(world, node.host, ends)
      other.agent.cluster.forceLeave(node.name).catch(() => undefined)
      return ends.call
    },
  },
  /**
   * A process that nobody reaches loses its name to a copy of it, and then is back, whether the copy is there or not. It
   * may reach the datastore all the time, which alone can tell it.
   */
  takeover: {
    forMs: [3500, 9000],
    begin(world, [who, much, alone]) {
      const node = servingBut(world, who)
      if (!node || !servingBut(world, 0, node)) return undefined
      const { scheduler, datastore } = world
      const [ends, healing] = [new Ends(), new Ends()]
      const { name, life } = node
      const host = world.newHost()
      ends.add(healing.call)
      const isInformed = alone > 0.3 && alone < 0.8
      if (isInformed) cutFromNodes(world, node.host, ends)
      else {
        healing.add(world.disturb([node.host]))
        isolate(world, node.host, healing)
      }
      const retire = once(() => world.retire(host))
      ends.add(retire)
      world.start(host, { name })
      const isTaken = () => (datastore.nodes.get(name)?.life ?? life) > life
      when(world, ends, isTaken, () => {
        scheduler.after(1500 * much, () => {
          if (alone < 0.6) retire()
          healing.call()
        })
      })
      return ends.call
    },
  },
  /**
   * Another server takes over that never had the two newest changes, and goes on nearly as far, or as far. One node
   * learns of what the second one was only then, from who wrote it, who may not know yet that it is lost.
   */
  'late push after a failover': {
    forMs: [1500, 5000],
    losesWrites: true,
    begin(world, [who, other, how]) {
      const writer = servingBut(world, who)
      const late = servingBut(world, other, writer)
      if (!writer || !late) return undefined
      const { datastore, network, scheduler, workload } = world
      const ends = new Ends()
      const [held, away] = [new Ends(), new Ends()]
      ends.add(held.call)
      ends.add(away.call)
      const before = datastore.head.position
      workload.changeBy(writer)
      scheduler.after(heardMs, () => {
        if (ends.areOver) return
        held.add(network.cut(writer.host, late.host))
        ends.add(world.disturb())
        cutFromDatastore(world, late.host, away)
        workload.changeBy(writer)
      })
      scheduler.after(2 * heardMs, () => {
        if (ends.areOver) return
        if (how < 0.5) cutFromDatastore(world, writer.host, ends)
        const as = datastore.head.position - (how < 0.25 || how > 0.75 ? 1 : 0)
        failOver(world, before, as, ends)
        scheduler.after(heardMs, away.call)
        const isThere = () => late.applied.digest === datastore.head.digest
        when(world, ends, isThere, held.call)
      })
      return ends.call
    },
  },
  /** Another server takes over, as far along in a history of its own, and tells nobody of changes. */
  'unheard failover': {
    forMs: [3000, 9000],
    losesWrites: true,
    begin(world, [much]) {
      const { datastore, server, workload } = world
      const ends = new Ends()
      workload.fallSilent(restMs)
      deafen(world, world.hosts(), ends)
      const { position } = datastore.head
      const calm = world.disturb()
      failOver(world, position - Math.floor(1 + 3 * much), position, ends, () => {
        calm()
        world.oracle.failedOver(calm)
      })
      ends.add(calm)
      ends.add(() => {
        server.mode = 'up'
      })
      return ends.call
    },
  },
  /** No connection by which the datastore could tell of changes is to be had. */
  deaf: {
    forMs: [500, 9000],
    begin(world, [who, many]) {
      const ends = new Ends()
      const hosts = world.hosts()
      const one = hosts[Math.floor(who * hosts.length)] as string
      deafen(world, many < 0.5 ? hosts : [one], ends)
      if (many < 0.4) {
        world.workload.changePast(1)
        world.workload.fallSilent(restMs)
      }
      return ends.call
    },
  },
  /** A key changes twice, of which nobody is told, and is read then: what is held is newer than what is heard next. */
  'read ahead': {
    forMs: [500, 3000],
    begin(world, [, one, other]) {
      const { scheduler, workload } = world
      const guarded = workload.guard(one, other)
      if (!guarded) return undefined
      const ends = new Ends()
      // What else a request needs is known by then, so nothing but the key is read.
      workload.fallSilent(5 * heardMs)
      scheduler.after(1.5 * heardMs, () => askAll(world, guarded.keyless))
      scheduler.after(4 * heardMs, () => {
        if (ends.areOver) return
        deafen(world, world.hosts(), ends)
        guarded.handOn()
        guarded.handOn()
        askAll(world, guarded.question)
      })
      return ends.call
    },
  },
  /** A worker that has much to do takes what it has asked for, and what has become of that since, in one go. */
  'busy worker': {
    forMs: [500, 3000],
    begin(world, [who, one, other]) {
      const node = servingBut(world, who)
      const worker = node?.workers[0]
      const guarded = node && world.workload.guard(one, other)
      if (!node || !worker || !guarded) return undefined
      const { scheduler, workload } = world
      workload.fallSilent(10 * heardMs)
      const at = (times: number, act: () => void) => scheduler.after(times * heardMs, act)
      at(1.5, () => world.ask(node, 0, guarded.keyless))
      at(4, () => {
        worker.port.keepBusy(4 * heardMs)
        world.ask(node, 0, guarded.question)
      })
      at(5, guarded.handOn)
      // It looks when it is asked for something.
      at(7.8, () => world.ask(node, 0, guarded.keyless))
      at(8.2, () => world.ask(node, 0, guarded.question))
      return () => undefined
    },
  },
} as const satisfies Readonly<Record<string, FaultSpec>>

/** What is to be undone, each thing once; what is added when all is over, at once. */
class Ends {
  areOver = false
  readonly #calls: (() => void)[] = []

  readonly call = (): void => {
    this.areOver = true
    for (const call of this.#calls.splice(0)) call()
  }

  add(call: () => void): void {
    if (this.areOver) call()
    else this.#calls.push(call)
  }
}

function once(act: () => void): () => void {
  let isDone = false
  return () => {
    if (!isDone) act()
    isDone = true
  }
}

/** Looks until something is so, and acts then, unless it is all over before. */
function when(world: World, ends: Ends, isSo: () => boolean, act: () => void): void {
  const until = world.scheduler.now + patienceMs
  const look = () => {
    if (ends.areOver || world.scheduler.now > until) return
    if (isSo()) act()
    else world.scheduler.after(lookMs, look)
  }
  look()
}

/** One of those that serve, by a draw. */
function servingBut(world: World, draw: number, but?: SimulatedNode): SimulatedNode | undefined {
  const serving = world.nodes.filter((node) => node !== but && node.serves())
  return serving[Math.floor(draw * serving.length)]
}

function askForEverything(world: World): void {
  for (const question of world.workload.everything()) askAll(world, question)
}

/** Every worker of those that serve. */
function askAll(world: World, question: Question): void {
  for (const node of world.nodes) {
    if (!node.serves()) continue
    for (let worker = 0; worker < node.workers.length; worker++) world.ask(node, worker, question)
  }
}

function isolate(world: World, host: string, ends: Ends): void {
  cutFromNodes(world, host, ends)
  cutFromDatastore(world, host, ends)
}

function cutFromNodes(world: World, host: string, ends: Ends): void {
  for (const other of world.hosts()) {
    if (other === host) continue
    ends.add(world.network.cut(host, other))
    ends.add(world.network.cut(other, host))
  }
}

function cutFromDatastore(world: World, host: string, ends: Ends): void {
  ends.add(world.network.cut(host, datastoreHost))
  ends.add(world.network.cut(datastoreHost, host))
}

function deafen(world: World, hosts: readonly string[], ends: Ends): void {
  const { server } = world
  for (const host of hosts) {
    server.deaf.push(host)
    server.breakSubscriptions(host)
    ends.add(() => server.deaf.splice(server.deaf.indexOf(host), 1))
  }
}

/** For a moment there is no server; then there is one whose log has other events after `position`, up to `as`. */
function failOver(world: World, position: number, as: number, ends: Ends, isUp = () => {}): void {
  const { datastore, server, oracle, scheduler, workload } = world
  server.mode = 'down'
  server.breakAll()
  datastore.loseTail(position)
  oracle.forgetWrites()
  workload.changePast(as - datastore.head.position)
  const comeUp = once(() => {
    server.mode = 'up'
    isUp()
  })
  scheduler.after(2 * heardMs, comeUp)
  ends.add(comeUp)
}
