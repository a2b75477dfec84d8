// What can go wrong. Each begins at a time, hits whom its draws say, and ends when the call that it returns is made.

import { ambushes } from './ambushes.ts'
import type { SimulatedNode } from './node.ts'
import { datastoreHost } from './session.ts'
import type { World } from './world.ts'

export interface FaultSpec {
  /** How long it lasts, from and to. */
  readonly forMs: readonly [number, number]
  /** What was committed may be gone after it. */
  readonly losesWrites?: boolean
  /** Who does that takes the promise of `refuse` back himself. */
  readonly breaksRefusal?: boolean
  /** @returns the call that ends it, or undefined when there was nobody to hit */
  readonly begin: (world: World, draws: readonly [number, number, number]) => (() => void) | undefined
}

export const faultSpecs = {
  'slow link': {
    forMs: [500, 6000],
    begin(world, [one, other, much]) {
      const [a, b] = two(world, one, other)
      return both(a, b, (from, to) => world.network.slow(from, to, 20 + 400 * much))
    },
  },
  stall: {
    forMs: [50, 2500],
    begin(world, [one, other]) {
      const [a, b] = two(world, one, other)
      return both(a, b, (from, to) => world.network.cut(from, to))
    },
  },
  partition: {
    forMs: [500, 12_000],
    begin(world, [where]) {
      const hosts = world.hosts()
      const edge = 1 + Math.floor(where * (hosts.length - 1))
      const ends = hosts
        .slice(0, edge)
        .flatMap((one) =>
          hosts
            .slice(edge)
            .flatMap((other) => [world.network.cut(one, other), world.network.cut(other, one)]),
        )
      return all(ends)
    },
  },
  'one-way partition': {
    forMs: [500, 8000],
    begin(world, [who, way]) {
      const hosts = world.hosts()
      const host = at(hosts, who)
      const others = hosts.filter((other) => other !== host)
      return all(
        others.map((other) => (way < 0.5 ? world.network.cut(host, other) : world.network.cut(other, host))),
      )
    },
  },
  reset: {
    forMs: [0, 1],
    begin(world, [one, other]) {
      const [a, b] = two(world, one, other)
      world.network.reset(a, b)
      return nothing
    },
  },
  'cut from datastore': {
    forMs: [200, 12_000],
    begin(world, [who]) {
      const host = at(world.hosts(), who)
      return all([world.disturb([host]), ...cutFromDatastore(world, host)])
    },
  },
  'slow datastore': {
    forMs: [500, 5000],
    begin(world, [who, much]) {
      const host = at(world.hosts(), who)
      return all([
        world.disturb([host]),
        world.network.slow(host, datastoreHost, 50 + 900 * much),
        world.network.slow(datastoreHost, host, 50 + 900 * much),
      ])
    },
  },
  'datastore down': {
    forMs: [200, 9000],
    begin(world) {
      const calm = world.disturb()
      world.server.mode = 'down'
      world.server.breakAll()
      return () => {
        world.server.mode = 'up'
        calm()
      }
    },
  },
  'datastore silent': {
    forMs: [200, 9000],
    begin(world) {
      return all([world.disturb(), ...world.hosts().flatMap((host) => cutFromDatastore(world, host))])
    },
  },
  'datastore read-only': {
    forMs: [200, 4000],
    begin(world) {
      const calm = world.disturb()
      world.server.mode = 'read-only'
      return () => {
        world.server.mode = 'up'
        calm()
      }
    },
  },
  'datastore errors': {
    forMs: [200, 4000],
    begin(world, [much]) {
      const calm = world.disturb()
      world.server.errorPart = 0.1 + 0.6 * much
      return () => {
        world.server.errorPart = 0
        calm()
      }
    },
  },
  'listener lost': {
    forMs: [0, 1],
    begin(world, [who, when]) {
      world.server.breakSubscriptions(at(world.hosts(), who))
      // Nobody tells that node of what is written before it listens again, and nothing else makes it look.
      world.workload.rest(400)
      world.scheduler.after(60 * when, () => world.workload.changePast(1))
      return nothing
    },
  },
  'tail lost': {
    forMs: [100, 1500],
    losesWrites: true,
    begin(world, [much]) {
      const calm = world.disturb()
      const { datastore, server } = world
      server.mode = 'down'
      server.breakAll()
      datastore.loseTail(datastore.head.position - Math.floor(1 + 6 * much))
      world.oracle.forgetWrites()
      return () => {
        server.mode = 'up'
        calm()
      }
    },
  },
  'replica behind': {
    forMs: [500, 8000],
    begin(world, [much]) {
      const before = world.datastore.replicaLagMs
      world.datastore.replicaLagMs = 4000 * much
      return () => {
        world.datastore.replicaLagMs = before
      }
    },
  },
  kill: {
    forMs: [50, 6000],
    begin: (world, [who]) => killed(world, who, (node) => node.directory),
  },
  'kill and forget': {
    forMs: [50, 4000],
    begin: (world, [who]) => killed(world, who, () => ({ name: undefined })),
  },
  'power loss': {
    forMs: [500, 6000],
    begin(world, [who]) {
      const node = world.running(who)
      if (!node) return undefined
      const { host, directory } = node
      const others = [...world.hosts().filter((other) => other !== host), datastoreHost]
      const ends = others.flatMap((other) => [world.network.cut(host, other), world.network.cut(other, host)])
      node.process.kill()
      return () => {
        all(ends)()
        world.start(host, directory)
      }
    },
  },
  pause: {
    forMs: [100, 9000],
    begin(world, [who]) {
      const node = world.running(who)
      if (!node) return undefined
      const calm = world.disturb([node.host])
      node.process.pause()
      return () => {
        node.process.resume()
        calm()
      }
    },
  },
  stutter: {
    forMs: [500, 4000],
    begin(world, [who, much]) {
      const node = world.running(who)
      if (!node) return undefined
      const calm = world.disturb([node.host])
      let isOver = false
      const stumble = () => {
        if (isOver || node.process.state === 'dead') return
        node.process.pause()
        world.scheduler.after(20 + 300 * much, () => node.process.resume())
        world.scheduler.after(100 + 500 * much, stumble)
      }
      stumble()
      return () => {
        isOver = true
        calm()
      }
    },
  },
  sleep: {
    forMs: [500, 9000],
    begin(world, [who]) {
      const node = world.running(who)
      if (!node) return undefined
      const calm = world.disturb([node.host])
      node.process.pause()
      return () => {
        node.process.resume(true)
        calm()
      }
    },
  },
  leave: {
    forMs: [300, 4000],
    begin(world, [who]) {
      const node = world.running(who)
      if (!node?.serves()) return undefined
      void node.stop()
      return () => {
        // It may hang on a datastore that is away; an operator would not wait for it.
        node.process.kill()
        world.start(node.host, node.directory)
      }
    },
  },
  'force leave': {
    forMs: [0, 1],
    begin(world, [who, by]) {
      const [node, other] = [world.running(who), world.running(by)]
      if (!node?.name || !other?.serves()) return undefined
      other.agent.cluster.forceLeave(node.name).catch(() => undefined)
      return nothing
    },
  },
  'given up': {
    forMs: [2500, 9000],
    begin(world, [who, soon, by]) {
      const node = world.running(who)
      if (!node?.name) return undefined
      const { name, host, directory } = node
      node.process.kill()
      // Whoever looks after it takes it for lost, and it comes back all the same.
      const forced = world.scheduler.after(1000 * soon, () => {
        const other = world.running(by)
        if (other?.serves()) other.agent.cluster.forceLeave(name).catch(() => undefined)
      })
      return () => {
        forced.cancel()
        world.start(host, directory)
      }
    },
  },
  clone: {
    forMs: [1000, 8000],
    begin(world, [who]) {
      const node = world.running(who)
      if (!node) return undefined
      const host = world.newHost()
      world.start(host, { ...node.directory })
      return () => world.retire(host)
    },
  },
  'set clock': {
    forMs: [0, 1],
    begin(world, [who, much, way]) {
      world.running(who)?.process.setClock((way < 0.5 ? -1 : 1) * 1000 * 4000 ** much)
      return nothing
    },
  },
  'clock of the datastore set': {
    forMs: [0, 1],
    // How long one that was forced out may serve still is told by that clock.
    breaksRefusal: true,
    begin(world, [much, way]) {
      // Ahead, mostly: by seconds, or by more than rows live.
      world.datastore.setClock((way < 0.2 ? -1 : 1) * 1000 * 4000 ** much)
      return nothing
    },
  },
  'row deleted': {
    forMs: [0, 1],
    breaksRefusal: true,
    begin(world, [who]) {
      const { datastore } = world
      const names = [...datastore.nodes.keys()]
      datastore.commitNodes(() => (names.length > 0 ? [[at(names, who), null]] : []))
      return nothing
    },
  },
  'worker death': {
    forMs: [0, 1],
    begin(world, [who]) {
      world.running(who)?.killWorker()
      return nothing
    },
  },
  'log cut off': {
    forMs: [0, 1],
    begin(world, [much]) {
      const { datastore } = world
      datastore.cutOff(datastore.head.position - Math.floor(3 * much))
      return nothing
    },
  },
  ...ambushes,
} as const satisfies Readonly<Record<string, FaultSpec>>

export type FaultKind = keyof typeof faultSpecs
export const faultKinds = Object.keys(faultSpecs) as FaultKind[]

function nothing(): void {}

function at<T>(list: readonly T[], draw: number): T {
  return list[Math.floor(draw * list.length)] as T
}

/** Two different hosts. */
function two(world: World, one: number, other: number): [string, string] {
  const hosts = world.hosts()
  const a = at(hosts, one)
  return [
    a,
    at(
      hosts.filter((host) => host !== a),
      other,
    ),
  ]
}

function both(a: string, b: string, act: (from: string, to: string) => () => void): () => void {
  return all([act(a, b), act(b, a)])
}

function all(ends: readonly (() => void)[]): () => void {
  return () => {
    for (const end of ends) end()
  }
}

function cutFromDatastore(world: World, host: string): (() => void)[] {
  return [world.network.cut(host, datastoreHost), world.network.cut(datastoreHost, host)]
}

function killed(
  world: World,
  who: number,
  directory: (node: SimulatedNode) => SimulatedNode['directory'],
): (() => void) | undefined {
  const node = world.running(who)
  if (!node) return undefined
  node.process.kill()
  return () => world.start(node.host, directory(node))
}
