import { expect } from 'chai'
import { Deadline, deadlineBuffer } from '../../../src/base/deadline.ts'
import type { Row } from '../../../src/base/json.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { Unknown } from '../../../src/catalog/errors.ts'
import { Admission } from '../../../src/proxy/admission.ts'
import { clientAddressRule } from '../../../src/proxy/client-address.ts'
import { Headers } from '../../../src/proxy/headers.ts'
import { PluginChains } from '../../../src/proxy/phases.ts'
import { Repeats } from '../../../src/proxy/repeats.ts'
import type { Client, Incoming } from '../../../src/proxy/request.ts'
import { type Resolution, Resolver } from '../../../src/proxy/resolver.ts'
import { Router } from '../../../src/proxy/router.ts'
import { noWriter } from '../../../src/testing/data-plane.ts'
import { ScriptedCatalog } from '../../../src/testing/scripted-catalog.ts'
import { testCounters } from '../../support/counters.ts'
import { collect } from '../../support/gateway.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { settle } from '../catalog/world.ts'

const api: Row = { id: 'api', created_at: 1, request_host: 'a.com', upstream_url: 'http://old' }
const renewed: Row = { ...api, upstream_url: 'http://new' }
const waitMs = 700

function asking(position: string | undefined, headers: readonly string[] = []): Incoming {
  const own = position === undefined ? [] : ['x-troop-min-position', position]
  return {
    ...{ method: 'GET', target: '/', httpVersion: '1.1', body: null, trailers: () => [], receivedAt: 0 },
    headers: Headers.read(['Host', 'a.com', ...own, ...headers]),
    ...{ remoteAddress: '10.0.0.1', localPort: 8000, encrypted: false, upgrade: null },
  }
}

describe('a request that asks for a position', () => {
  let catalog: ScriptedCatalog
  let clock: ManualClock
  let lines: Parameters<typeof collect>[0]

  /** The catalog is at position 2 then: the API is there. */
  function resolverOf({
    trustedIps = [] as string[],
    freshness = undefined as Deadline | undefined,
  } = {}): Resolver {
    const router = new Router()
    catalog = new ScriptedCatalog(router)
    catalog.put('apis', api)
    clock = new ManualClock()
    lines = []
    const logger = collect(lines)
    const clientAddress = clientAddressRule(trustedIps)
    return new Resolver({
      ...{ catalog, router, clientAddress, logger },
      chains: new PluginChains([], {
        logger,
        clock,
        random: systemRandom,
        counters: testCounters(),
        writer: noWriter,
      }),
      admission: new Admission({
        ...{ catalog, clientAddress, trustedIps, minPositionWaitMs: waitMs, freshness, clock },
      }),
      repeats: new Repeats(clock),
    })
  }

  const patient: Client = { gone: new AbortController().signal }
  const status = (resolution: Resolution | Promise<Resolution>) => (resolution as Resolution).answer?.status
  const upstreamOf = ({ request, answer }: Resolution) => answer?.status ?? request?.api.upstream_url

  it('that is applied is resolved in the same tick', () => {
    const resolver = resolverOf()
    for (const position of ['0', '1', '2', '002']) {
      expect(upstreamOf(resolver.resolve(asking(position), patient) as Resolution), position).equal(
        'http://old',
      )
    }
  })

  it('costs others nothing: without the header nobody is asked anything', () => {
    const resolver = resolverOf()
    catalog.position = () => expect.fail()
    const client: Client = {
      get gone(): AbortSignal {
        return expect.fail()
      },
    }
    expect(upstreamOf(resolver.resolve(asking(undefined), client) as Resolution)).equal('http://old')
  })

  it('waits for it, and is answered from there', async () => {
    const resolver = resolverOf()
    const resolved = resolver.resolve(asking('3'), patient)
    await settle()
    expect(catalog.waitedFor).deep.equal([3])
    catalog.put('apis', renewed)
    expect(upstreamOf(await resolved)).equal('http://new')
    expect(catalog.waitedFor).deep.equal([])
  })

  it('is 503 with Retry-After when its time is up, and never answered from what is older', async () => {
    const resolver = resolverOf()
    const resolved = resolver.resolve(asking('4'), patient)
    catalog.put('apis', renewed)
    clock.advance(waitMs - 1)
    await settle()
    expect(catalog.waitedFor).deep.equal([4])
    clock.advance(1)
    expect(await resolved).deep.equal({
      request: null,
      steps: [],
      answer: {
        status: 503,
        body: { message: 'X-Troop-Min-Position: position 4 is not applied on this node yet' },
        headers: { 'Retry-After': '1' },
      },
    })
    expect(catalog.waitedFor).deep.equal([])
    expect(lines.map(({ sentence }) => sentence)).deep.equal([
      'requests answered 503: what they ask for is not applied here',
    ])
  })

  it('is not waited for any more once its client has gone', async () => {
    const resolver = resolverOf()
    const client = new AbortController()
    const resolved = resolver.resolve(asking('99'), { gone: client.signal })
    client.abort()
    await resolved
    expect(catalog.waitedFor).deep.equal([])
  })

  it('is 503 at once where too many wait, and waits again where they have gone', async () => {
    const resolver = resolverOf()
    const clients = Array.from({ length: 1000 }, () => new AbortController())
    const waiting = clients.map(({ signal }) => resolver.resolve(asking('99'), { gone: signal }))
    expect(status(resolver.resolve(asking('99'), patient))).equal(503)
    expect(status(resolver.resolve(asking('2'), patient)), 'what is there needs no room').equal(undefined)
    clients[0]?.abort()
    await waiting[0]
    expect(resolver.resolve(asking('99'), patient)).instanceOf(Promise)
    clock.advance(waitMs)
    expect((await Promise.all(waiting)).map(status)).deep.equal(Array(1000).fill(503))
    await settle()
    expect(catalog.waitedFor).deep.equal([])
  })

  it('is held to it when it starts over: a history that was put back takes positions back', async () => {
    const resolver = resolverOf()
    let held = 0
    catalog.onLookup = async () => {
      if (held++ > 0) return
      catalog.put('apis', renewed)
      catalog.rewind(1)
    }
    expect(upstreamOf(await resolver.resolve(asking('2'), patient))).equal(503)
    held = 0
    expect(upstreamOf(await resolver.resolve(asking('1'), patient))).equal('http://new')
  })

  it('that was reached and taken back before it was answered is 503', async () => {
    const resolver = resolverOf()
    const resolved = resolver.resolve(asking('3'), patient)
    catalog.put('apis', renewed)
    catalog.rewind(2)
    expect(upstreamOf(await resolved)).equal(503)
  })

  it('is 503 where no changes are heard, at once and while it waits', async () => {
    const resolver = resolverOf()
    const client = new AbortController()
    const waiting = resolver.resolve(asking('3'), { gone: client.signal })
    catalog.position = catalog.view = () => {
      throw new Unknown('anything')
    }
    expect(status(resolver.resolve(asking('3'), patient))).equal(503)
    client.abort()
    expect(status(await waiting)).equal(503)
  })

  it('that is no position is 400, with name and value', () => {
    const resolver = resolverOf()
    for (const value of ['', 'x', '-1', '+1', '1.0', '1e3', '0x1', '1 2', '٣']) {
      const { answer } = resolver.resolve(asking(value), patient) as Resolution
      expect(answer?.status, value).equal(400)
      expect(answer?.body, value).deep.equal({
        message: `X-Troop-Min-Position: expected a non-negative integer, as X-Troop-Position of a write gives it, got "${value}"`,
      })
    }
    const twice = resolver.resolve(asking('1', ['X-Troop-Min-Position', '2']), patient) as Resolution
    expect(JSON.stringify(twice.answer?.body)).match(/got \\"1, 2\\"/)
    const long = resolver.resolve(asking('x'.repeat(10_000)), patient) as Resolution
    expect(JSON.stringify(long.answer?.body).length).below(200)
    expect(lines).deep.equal([])
  })

  it('beyond all numbers is a position that is not there yet', async () => {
    const resolver = resolverOf()
    for (const value of ['9007199254740993', '9'.repeat(400)]) {
      const resolved = resolver.resolve(asking(value), patient)
      await settle()
      expect(catalog.waitedFor).deep.equal([Number.MAX_SAFE_INTEGER])
      clock.advance(waitMs)
      expect(status(await resolved)).equal(503)
    }
  })

  it('has no effect for a client outside trusted_ips, where there are any', () => {
    const outside = ['X-Forwarded-For', '8.8.8.8']
    for (const [trustedIps, headers] of [
      [['192.168.0.0/16'], []],
      // Through a proxy that is trusted, and not trusted itself.
      [['10.0.0.0/8'], outside],
    ] as const) {
      const resolver = resolverOf({ trustedIps: [...trustedIps] })
      for (const position of ['99', 'x']) {
        const resolution = resolver.resolve(asking(position, headers), patient) as Resolution
        expect(upstreamOf(resolution)).equal('http://old')
      }
    }
    for (const headers of [[], ['X-Forwarded-For', '10.2.3.4']]) {
      const resolver = resolverOf({ trustedIps: ['10.0.0.0/8'] })
      expect(resolver.resolve(asking('99', headers), patient)).instanceOf(Promise)
      expect(status(resolver.resolve(asking('x', headers), patient))).equal(400)
    }
  })
})

describe('a request to a node that must not be too old', () => {
  const resolverWith = (freshness: Deadline, clock: ManualClock) => {
    const router = new Router()
    const catalog = new ScriptedCatalog(router)
    catalog.put('apis', api)
    const clientAddress = clientAddressRule([])
    const common = { catalog, clientAddress, clock, logger: collect([]) }
    const resolver = new Resolver({
      ...{ ...common, router },
      chains: new PluginChains([], {
        logger: common.logger,
        clock,
        random: systemRandom,
        counters: testCounters(),
        writer: noWriter,
      }),
      admission: new Admission({ ...common, trustedIps: [], minPositionWaitMs: waitMs, freshness }),
      repeats: new Repeats(clock),
    })
    return { catalog, resolver }
  }
  const patient: Client = { gone: new AbortController().signal }
  const made = () => {
    const clock = new ManualClock()
    clock.advance(1)
    const freshness = new Deadline(deadlineBuffer(), clock)
    return { clock, freshness, ...resolverWith(freshness, clock) }
  }

  it('is answered while it is fresh, and not after that, nor before it ever was', () => {
    const { clock, freshness, resolver } = made()
    const status = () => (resolver.resolve(asking(undefined), patient) as Resolution).answer?.status
    expect(status()).to.equal(503)
    freshness.set({ monotonic: 100, wall: 100 })
    expect(status()).to.equal(undefined)
    clock.advance(100)
    expect(status()).to.equal(503)
    freshness.set({ monotonic: 200, wall: 200 })
    expect(status()).to.equal(undefined)
  })

  it('is refused when that ran out while it waited for what it needs', async () => {
    const { clock, freshness, catalog, resolver } = made()
    freshness.set({ monotonic: 100, wall: 100 })
    const looked = Promise.withResolvers<void>()
    catalog.onLookup = () => looked.promise
    const resolution = resolver.resolve(asking(undefined), patient)
    clock.advance(100)
    looked.resolve()
    expect((await resolution).answer).to.include({ status: 503 })
    expect((await resolution).answer?.headers).to.have.property('Retry-After')
  })
})
