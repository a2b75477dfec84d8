// Requests that ask for a position, on real sockets at both ends.
import { expect } from 'chai'
import { systemClock } from '../../src/base/clock.ts'
import type { Row } from '../../src/base/json.ts'
import { Counters } from '../../src/proxy/counters.ts'
import { type Seen, Upstream } from '../../src/testing/upstream.ts'
import { TestGateway, type TestGatewayOptions } from '../support/gateway.ts'
import { until } from '../support/log.ts'
import { type Answered, ask, connect } from '../support/raw-http.ts'

describe('a request that asks for a position', () => {
  let upstream: Upstream
  let gateway: TestGateway
  let api: Row

  beforeEach(async () => {
    upstream = await new Upstream().start()
  })
  afterEach(async () => {
    await gateway.stop()
    await upstream.stop()
  })

  async function start(options: TestGatewayOptions = {}): Promise<void> {
    gateway = await new TestGateway(options).start()
    api = gateway.addApi({ request_host: 'test', upstream_url: `${upstream.url}/old` })
    gateway.addPlugin(api, 'recorder')
  }

  const change = () => gateway.catalog.put('apis', { ...api, upstream_url: `${upstream.url}/new` })
  const asking = (position: number | string, ...more: string[]) =>
    ask(gateway.port, '/', {
      headers: ['Host', 'test', 'X-Troop-Min-Position', String(position), ...more],
    })
  const seen = ({ body }: Answered) => JSON.parse(body) as Seen

  it('is held until the node is there, and sees what was written', async () => {
    await start()
    const asked = asking(gateway.catalog.position() + 1)
    await until(() => gateway.catalog.waitedFor.length === 1)
    change()
    expect(seen(await asked).url).equal('/new/')
  })

  it('is 503 in JSON with Retry-After when the node did not get there, after about the wait', async () => {
    await start({ minPositionWaitMs: 150 })
    const began = systemClock.monotonic()
    const answered = await asking(99)
    const tookMs = systemClock.monotonic() - began
    expect(answered).include({ status: 503 })
    expect(answered.headers).include({
      'retry-after': '1',
      server: 'troop/1.2.3',
      'content-type': 'application/json; charset=utf-8',
    })
    expect(JSON.parse(answered.body).message).match(/X-Troop-Min-Position: position 99 /)
    expect(tookMs).within(140, 2000)
    expect(upstream.requests).equal(0)
  })

  it('is counted when it is refused, and reaches no plugin, as one that no API matches', async () => {
    await start({ minPositionWaitMs: 1 })
    expect((await asking(99)).status).equal(503)
    expect((await asking('soon')).status).equal(400)
    expect((await asking(1)).status).equal(200)
    await gateway.record()
    const counters = new Counters(gateway.counters)
    expect([counters.get('requests'), counters.get('routed')]).deep.equal([3, 1])
    expect(gateway.records).have.length(1)
  })

  it('keeps the header to the gateway, honoured or not', async () => {
    await start()
    expect(seen(await asking(1)).headers).not.have.property('x-troop-min-position')
    await gateway.stop()
    await start({ trustedIps: ['10.0.0.0/8'] })
    const ignored = seen(await asking('99, soon', 'X-Kept', '1'))
    expect(ignored.headers).include({ 'x-kept': '1' }).and.not.have.property('x-troop-min-position')
    expect(ignored.url).equal('/old/')
  })

  it('that is left by its client is waited for no more, and keeps nobody from stopping', async () => {
    await start({ minPositionWaitMs: 60_000 })
    const socket = await connect(gateway.port)
    socket.write('GET / HTTP/1.1\r\nHost: test\r\nX-Troop-Min-Position: 99\r\n\r\n')
    await until(() => gateway.catalog.waitedFor.length === 1)
    socket.destroy()
    await until(() => gateway.catalog.waitedFor.length === 0)
    await gateway.stop()
  })

  it('is cut like any other when the node stops', async () => {
    await start({ minPositionWaitMs: 60_000, graceMs: 10 })
    const asked = asking(99).catch((error) => error.code)
    await until(() => gateway.catalog.waitedFor.length === 1)
    await gateway.stop()
    expect(await asked).equal('ECONNRESET')
  })
})
