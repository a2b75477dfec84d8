// statsd and datadog, whose metrics are the same, against a UDP receiver.
import { expect } from 'chai'
import { systemClock } from '../../src/base/clock.ts'
import type { JsonObject, Row } from '../../src/base/json.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { systemRandom } from '../../src/base/random.ts'
import { validate } from '../../src/entities/validate.ts'
import { datadog } from '../../src/plugins/datadog/datadog.ts'
import { statsd } from '../../src/plugins/statsd/statsd.ts'
import { noWriter } from '../../src/testing/data-plane.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { testCounters } from '../support/counters.ts'
import { Datagrams } from '../support/datagrams.ts'
import { TestGateway } from '../support/gateway.ts'
import { until } from '../support/log.ts'
import { ask } from '../support/raw-http.ts'

const all = [
  ...['request_count', 'status_count', 'latency', 'request_size', 'response_size'],
  ...['unique_users', 'request_per_user'],
]

for (const plugin of [statsd, datadog]) {
  describe(plugin.name, () => {
    let upstream: Upstream
    let receiver: Datagrams
    let gateway: TestGateway
    let api: Row

    beforeEach(async () => {
      upstream = await new Upstream().start()
      receiver = await new Datagrams().start()
      gateway = await new TestGateway().start()
      api = gateway.addApi({ name: 'stats.d-1', request_host: 'test', upstream_url: upstream.url })
    })

    afterEach(async () => {
      await gateway.stop()
      await receiver.stop()
      await upstream.stop()
    })

    const config = (input: JsonObject) =>
      validate({ fields: plugin.config }, input, { mode: 'create' }, systemRandom) as JsonObject
    const add = (input: JsonObject = {}) => {
      const set = config({ host: '127.0.0.1', port: receiver.port, ...input })
      return gateway.addPlugin(api, plugin.name, set)
    }
    const call = (...headers: string[]) => ask(gateway.port, '/', { headers: ['Host', 'test', ...headers] })
    const lines = () => receiver.all.flatMap((datagram) => datagram.split('\n'))
    /** All that is sent for one request when only `metric` is asked for. */
    const sentFor = async (metric: string) => {
      add({ metrics: [metric] })
      await call()
      return (await receiver.first(1))[0]
    }

    it('request_count is a packet that counts one [contract 461, 467]', async () => {
      expect(await sentFor('request_count')).equal('kong.stats_d-1.request.count:1|c')
    })

    it('status_count counts one of the status [contract 462, 467]', async () => {
      expect(await sentFor('status_count')).equal('kong.stats_d-1.request.status.200:1|c')
    })

    it('request_size is a gauge of bytes [contract 463, 467]', async () => {
      expect(await sentFor('request_size')).match(/^kong\.stats_d-1\.request\.size:\d+\|g$/)
    })

    it('latency is a gauge of milliseconds [contract 464, 467]', async () => {
      expect(await sentFor('latency')).match(/^kong\.stats_d-1\.latency:\d+\|g$/)
    })

    it('response_size is a gauge of bytes [contract 466, 467]', async () => {
      expect(await sentFor('response_size')).match(/^kong\.stats_d-1\.response\.size:\d+\|g$/)
    })

    it('by default there are all, request.count first, in one packet a request [contract 465, 467]', async () => {
      add()
      await call()
      const [packet = ''] = await receiver.first(1)
      expect(packet.split('\n').map((line) => line.replace(/:\d+/, ''))).deep.equal([
        ...['kong.stats_d-1.request.count|c', 'kong.stats_d-1.request.status.200|c'],
        ...['kong.stats_d-1.latency|g', 'kong.stats_d-1.request.size|g', 'kong.stats_d-1.response.size|g'],
      ])
    })

    it('come in the order in which they are named', async () => {
      add({ metrics: ['latency', 'request_count'] })
      await call()
      expect((await receiver.first(1))[0]).match(/latency.*\n.*count/)
    })

    it('of a consumer there are two more', async () => {
      const consumer = gateway.addConsumer('bob')
      gateway.addKey(consumer, 'secret')
      gateway.addPlugin(api, 'key-auth', { key_names: ['apikey'], hide_credentials: false })
      add({ metrics: ['unique_users', 'request_per_user'] })
      await call()
      await call('apikey', 'secret')
      const id = String(consumer.id)
      expect(await receiver.first(1)).deep.equal([
        [
          `kong.stats_d-1.user.uniques:${id}|s`,
          `kong.stats_d-1.${id.replaceAll('-', '_')}.request.count:1|c`,
        ].join('\n'),
      ])
    })

    it('refused requests count, too', async () => {
      gateway.addPlugin(api, 'key-auth', { key_names: ['apikey'], hide_credentials: false })
      add({ metrics: ['status_count'] })
      await call()
      expect(await receiver.first(1)).deep.equal(['kong.stats_d-1.request.status.401:1|c'])
    })

    it('of many requests fill packets that fit into a frame, and none is lost', async () => {
      const surroundings = { clock: systemClock, random: systemRandom, counters: testCounters() }
      const phases = plugin.open({ ...surroundings, writer: noWriter, logger: silentLogger })
      const set = config({ host: '127.0.0.1', port: receiver.port, metrics: ['request_count', 'latency'] })
      for (let i = 0; i < 500; i++) phases.log?.({ api: { name: 'busy' }, latencies: { request: i } }, set)
      await phases.stop?.()
      await until(() => lines().length === 1000)
      const lengths = receiver.all.map(({ length }) => length)
      expect(Math.max(...lengths)).within(1400, 1432)
      expect(lines().filter((line) => /latency/.test(line))).deep.equal(
        Array.from({ length: 500 }, (_, i) => `kong.busy.latency:${i}|g`),
      )
    })

    it('a name with more than may be in it ends no line', async () => {
      gateway.catalog.put('apis', { ...api, name: 'a:1|c\nb' })
      expect(await sentFor('request_count')).equal('kong.a_1_c_b.request.count:1|c')
    })

    it('its configuration has defaults, and only metrics that there are', () => {
      expect(config({})).include({ host: 'localhost', port: 8125, timeout: 10_000 })
      expect(config({}).metrics).deep.equal(all)
      const wrong = () => config({ metrics: ['request_count', 'nonsense'] })
      expect(wrong)
        .throw()
        .with.nested.property('errors.metrics')
        .that.match(/^"nonsense" is not allowed/)
    })
  })
}

describe('datadog tags', () => {
  const config = (input: JsonObject) =>
    validate({ fields: datadog.config }, input, { mode: 'create' }, systemRandom) as JsonObject

  it('end every line', async () => {
    const receiver = await new Datagrams().start()
    const upstream = await new Upstream().start()
    const gateway = await new TestGateway().start()
    const api = gateway.addApi({ name: 'a', request_host: 'test', upstream_url: upstream.url })
    const metrics = ['request_count', 'status_count']
    const set = { host: '127.0.0.1', port: receiver.port, metrics, tags: ['env:test', 'b'] }
    gateway.addPlugin(api, 'datadog', config(set))
    await ask(gateway.port, '/')
    expect(await receiver.first(1)).deep.equal([
      'kong.a.request.count:1|c|#env:test,b\nkong.a.request.status.200:1|c|#env:test,b',
    ])
    await gateway.stop()
    await upstream.stop()
    await receiver.stop()
  })

  it('have nothing in them that would end them', () => {
    for (const tag of ['a b', 'a|b', 'a#b', 'a\nb', ''])
      expect(() => config({ tags: [tag] }), tag)
        .throw()
        .with.nested.property('errors.tags')
        .that.match(/^a tag/)
  })
})
