// What every form of the transport does alike, be it on sockets or simulated.
import { expect } from 'chai'
import type { Address } from '../../src/base/address.ts'
import { codeOf, TroopError } from '../../src/base/errors.ts'
import type { HelloRefused } from '../../src/cluster/errors.ts'
import type {
  EndReason,
  Identity,
  Peer,
  PeerEnd,
  Transport,
  TransportHandlers,
} from '../../src/cluster/transport/transport.ts'

/** One world in which transports can reach each other. */
export interface TransportWorld {
  /** Not started. `cluster` is the cluster's id. */
  transport(cluster: string): Transport
  /** Nothing ever listens there. */
  readonly nowhere: Address
  /** Lets time pass until `isTrue()`; fails with `claim` when it does not come true. */
  until(isTrue: () => boolean, claim: string): Promise<void>
  /** Waits for what comes about by itself, letting time pass. */
  outcome<T>(promise: Promise<T>): Promise<T>
}

/** Enough for a slow machine; nothing here waits for it to pass. */
const patienceMs = 10_000

/** A node that says what it heard. Answers `echo`, fails `fail`, never answers `hang`. */
export interface TestNode {
  readonly transport: Transport
  readonly address: Address
  readonly self: Identity
  readonly peers: Peer[]
  readonly ends: PeerEnd[]
  /** `from method params` of each notice. */
  readonly heard: string[]
  /** Names of the nodes that it keeps out. */
  readonly fenced: Set<string>
  dial(other: TestNode): Promise<Peer>
}

export async function startNode(
  world: TransportWorld,
  name: string,
  differently: { life?: number; cluster?: string } = {},
) {
  const transport = world.transport(differently.cluster ?? 'cluster-1')
  const node = {
    transport,
    peers: [] as Peer[],
    ends: [] as PeerEnd[],
    heard: [] as string[],
    fenced: new Set<string>(),
  }
  const handlers: TransportHandlers = {
    isFenced: (remote) => node.fenced.has(remote.name),
    connected: (peer) => {
      node.peers.push(peer)
      void peer.closed.then((end) => node.ends.push(end))
    },
    handle: (_peer, method, params) => {
      if (method === 'echo') return params
      if (method === 'fail') throw new TroopError('too-hot', 'it burns')
      return new Promise(() => {})
    },
    receive: (peer, method, params) => {
      if (method === 'nonsense') throw new Error('this is nonsense')
      node.heard.push(`${peer.name} ${method} ${JSON.stringify(params)}`)
    },
  }
  const address = await world.outcome(transport.start(handlers))
  const self = { name, life: differently.life ?? 1, address }
  transport.introduce(self)
  return {
    ...node,
    address,
    self,
    dial: (other: TestNode) => transport.dial(other.address, patienceMs, { name: other.self.name }),
  } satisfies TestNode
}

export function transportSuite(
  form: string,
  makeWorld: () => TransportWorld,
  stopWorld: () => Promise<void>,
): void {
  describe(`the ${form} transport`, () => {
    let world: TransportWorld
    beforeEach(() => {
      world = makeWorld()
    })
    afterEach(() => stopWorld())

    const thrown = async (promise: Promise<unknown>): Promise<Error> => {
      const outcome = await world.outcome(
        promise.then(
          () => undefined,
          (error: Error) => error,
        ),
      )
      expect(outcome, 'an error').to.be.instanceOf(Error)
      return outcome as Error
    }
    const pair = async () => {
      const [a, b] = [await startNode(world, 'a', { life: 3 }), await startNode(world, 'b', { life: 4 })]
      const toB = await world.outcome(a.dial(b))
      await world.until(() => b.peers.length === 1, 'b has met a')
      return { a, b, toB, toA: b.peers[0] as Peer }
    }

    it('introduces both sides to each other', async () => {
      const { a, b, toA, toB } = await pair()
      expect(toB).to.deep.include({ name: 'b', life: 4, address: b.address })
      expect(toA).to.deep.include({ name: 'a', life: 3, address: a.address })
      expect(a.peers).to.deep.equal([toB])
      expect(a.transport.counts()).to.deep.include({ peers: 1, connections: 1, strangers: 0 })
    })

    it('carries requests both ways, with errors by their codes', async () => {
      const { toA, toB } = await pair()
      for (const peer of [toA, toB]) {
        expect(await world.outcome(peer.call('echo', { x: [1, 'é'] }, patienceMs))).to.deep.equal({
          x: [1, 'é'],
        })
        expect(codeOf(await thrown(peer.call('fail', null, patienceMs)))).to.equal('too-hot')
        expect(codeOf(await thrown(peer.call('hang', null, 1)))).to.equal('rpc-timeout')
      }
    })

    it('carries notices in the order in which they were sent', async () => {
      const { b, toB } = await pair()
      for (let i = 0; i < 200; i++) expect(toB.notify('n', i)).to.equal(true)
      await world.until(() => b.heard.length === 200, 'all arrive')
      expect(b.heard).to.deep.equal(Array.from({ length: 200 }, (_, i) => `a n ${i}`))
    })

    it('closes a connection with a reason that both sides learn, and rejects what waits', async () => {
      const { toA, toB } = await pair()
      const waiting = thrown(toA.call('hang', null, patienceMs))
      toB.close('fenced-life', 'it was forced out')
      const said = { reason: 'fenced-life', message: 'it was forced out' }
      expect(await world.outcome(toB.closed)).to.deep.equal({ by: 'us', ...said })
      expect(await world.outcome(toA.closed)).to.deep.equal({ by: 'them', ...said })
      expect(codeOf(await waiting)).to.equal('rpc-closed')
      for (const peer of [toA, toB]) {
        expect(codeOf(await thrown(peer.call('echo', 1, patienceMs)))).to.equal('rpc-closed')
        expect(peer.notify('n', 1)).to.equal(false)
      }
    })

    it('closes on a notice that is not understood, and goes on', async () => {
      const { a, b, toB } = await pair()
      toB.notify('nonsense', null)
      expect(await world.outcome(toB.closed)).to.include({ by: 'them', reason: 'protocol' })
      expect(b.heard).to.deep.equal([])
      const again = await world.outcome(a.dial(b))
      expect(await world.outcome(again.call('echo', 'well', patienceMs))).to.equal('well')
    })

    it('says that nothing listens where nothing does', async () => {
      const a = await startNode(world, 'a')
      expect(codeOf(await thrown(a.transport.dial(world.nowhere, patienceMs)))).to.equal('nothing-listens')
    })

    describe('refuses', () => {
      const refused = async (
        dialler: TestNode,
        other: TestNode,
        reason: EndReason,
        by: 'us' | 'them' = 'them',
      ) => {
        const error = (await thrown(dialler.transport.dial(other.address, patienceMs))) as HelloRefused
        expect(error).to.include({ code: 'hello-refused', reason, by })
      }
      const counted = (node: TestNode) =>
        Object.entries(node.transport.counts().refused).filter(([, count]) => count > 0)

      it('a node of another datastore', async () => {
        const [a, b] = [await startNode(world, 'a'), await startNode(world, 'b', { cluster: 'cluster-2' })]
        await refused(a, b, 'foreign-datastore')
        expect(counted(b)).to.deep.equal([['foreign-datastore', 1]])
        expect([...a.peers, ...b.peers]).to.deep.equal([])
      })

      it('itself, and another node under its own name', async () => {
        const [a, b] = [await startNode(world, 'a'), await startNode(world, 'a', { life: 2 })]
        await refused(a, a, 'self')
        await refused(a, b, 'name-conflict')
        expect(a.transport.counts().peers + b.transport.counts().peers).to.equal(0)
      })

      it('a life that was ended by force, whichever side dials', async () => {
        const [a, b] = [await startNode(world, 'a'), await startNode(world, 'b')]
        b.fenced.add('a')
        await refused(a, b, 'fenced-life')
        await refused(b, a, 'fenced-life', 'us')
        await world.until(() => a.ends.length === a.peers.length, 'a learns it')
        for (const end of a.ends) expect(end).to.include({ by: 'them', reason: 'fenced-life' })
      })

      it('who is not the one that was expected', async () => {
        const [a, b] = [await startNode(world, 'a'), await startNode(world, 'b', { life: 5 })]
        const wrong = thrown(a.transport.dial(b.address, patienceMs, { name: 'c' }))
        expect(await wrong).to.include({ code: 'hello-refused', reason: 'unexpected-node', by: 'us' })
        const older = thrown(a.transport.dial(b.address, patienceMs, { name: 'b', life: 6 }))
        expect(await older).to.include({ code: 'hello-refused', reason: 'fenced-life', by: 'us' })
        await world.until(() => b.ends.length === b.peers.length, 'b learns it')
        await world.outcome(a.transport.dial(b.address, patienceMs, { name: 'b', life: 4 }))
      })

      it('everybody before it has introduced itself', async () => {
        const a = await startNode(world, 'a')
        const mute = world.transport('cluster-1')
        const address = await mute.start({ isFenced: () => false, connected() {}, handle() {}, receive() {} })
        expect(await thrown(a.transport.dial(address, patienceMs))).to.include({ reason: 'not-ready' })
        expect(codeOf(await thrown(mute.dial(a.address, patienceMs)))).to.equal('transport-stopped')
      })
    })

    it('keeps one connection of two that were dialled at once, and leaves no request without an answer or an error', async function () {
      this.timeout(60_000)
      for (let round = 0; round < 40; round++) {
        const [a, b] = [await startNode(world, 'a'), await startNode(world, 'b')]
        const met = (node: TestNode, other: TestNode) =>
          node.dial(other).then((peer) => peer.call('echo', node.self.name, patienceMs))
        // The same side twice, in half of the rounds.
        const dials = [
          met(a, b),
          met(b, a),
          ...(round % 2 ? [met(round % 4 === 1 ? a : b, round % 4 === 1 ? b : a)] : []),
        ]
        const outcomes = await world.outcome(Promise.allSettled(dials))
        for (const outcome of outcomes) {
          const code = outcome.status === 'fulfilled' ? undefined : codeOf(outcome.reason)
          expect(code, 'a call is answered, or may be repeated').to.be.oneOf([undefined, 'rpc-closed'])
        }
        await world.until(() => a.peers.length > 0 && b.peers.length > 0, 'both have met')
        expect([a.peers.length, b.peers.length, a.ends.length, b.ends.length]).to.deep.equal([1, 1, 0, 0])
        await settled(a, b)
        expect(await world.outcome((a.peers[0] as Peer).call('echo', 1, patienceMs))).to.equal(1)
        expect(await world.outcome((b.peers[0] as Peer).call('echo', 2, patienceMs))).to.equal(2)
        await world.outcome(a.transport.stop())
        await world.until(() => b.ends.length === 1, 'b learns that a stops')
        expect(b.ends[0]).to.include({ by: 'them', reason: 'stopping' })
        await world.outcome(b.transport.stop())
      }
    })

    it('is still connected once a node is dialled that is connected already', async () => {
      const { a, b, toA, toB } = await pair()
      expect(await world.outcome(a.dial(b))).to.equal(toB)
      expect(await world.outcome(b.dial(a))).to.equal(toA)
      await settled(a, b)
      expect(await world.outcome(toA.call('echo', 1, patienceMs))).to.equal(1)
      expect([...a.ends, ...b.ends]).to.deep.equal([])
    })

    it('takes a later life of a node for another node, and no earlier one', async () => {
      const { b, toA } = await pair()
      const later = await startNode(world, 'a', { life: 9 })
      await world.outcome(later.dial(b))
      expect(await world.outcome(toA.closed)).to.include({ by: 'us', reason: 'superseded' })
      await world.until(() => b.peers.length === 2, 'b has met the later life')
      expect(b.peers[1]).to.include({ name: 'a', life: 9 })
      const earlier = await startNode(world, 'a', { life: 8 })
      expect(await thrown(earlier.dial(b))).to.include({ reason: 'fenced-life', by: 'them' })
      expect(b.transport.counts().peers).to.equal(1)
    })

    it('closes what was connected under a life that it has no more', async () => {
      const { a, b, toA, toB } = await pair()
      a.transport.introduce({ ...a.self, life: 7 })
      expect(await world.outcome(toB.closed)).to.include({ by: 'us', reason: 'superseded' })
      expect(await world.outcome(toA.closed)).to.include({ by: 'them', reason: 'superseded' })
      await world.outcome(a.dial(b))
      await world.until(() => b.peers.length === 2, 'b has met the new life')
      expect(b.peers[1]).to.include({ name: 'a', life: 7 })
    })

    it('stops with a reason, and is silent after', async () => {
      const { a, b, toA } = await pair()
      const dialling = thrown(a.dial(b))
      await world.outcome(a.transport.stop())
      expect(await world.outcome(toA.closed)).to.include({ by: 'them', reason: 'stopping' })
      expect(codeOf(await dialling)).to.equal('transport-stopped')
      expect(codeOf(await thrown(a.dial(b)))).to.equal('transport-stopped')
      expect(codeOf(await thrown(b.dial(a)))).to.equal('nothing-listens')
    })

    /** Both have decided which connection stays. */
    function settled(...nodes: TestNode[]): Promise<void> {
      return world.until(
        () => nodes.every(({ transport }) => transport.counts().connections === 1),
        'one connection is left',
      )
    }
  })
}
