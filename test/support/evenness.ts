// How many of many connections each worker gets: listeners as workers have them, on one port, whose connections the kernel
// spreads.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { Counters, counterCount } from '../../src/proxy/counters.ts'
import { HttpInbound } from '../../src/proxy/inbound/http-inbound.ts'
import { defaultLimits } from '../../src/proxy/inbound/limits.ts'
import { until } from './log.ts'

/** Connections that each of so many workers accepted. */
export async function connectionsOf(workers: number, connections: number): Promise<readonly number[]> {
  await using releases = new AsyncDisposableStack()
  const all: Counters[] = []
  let address = { host: '127.0.0.1', port: 0 }
  for (let worker = 0; worker < workers; worker++) {
    const counters = new Float64Array(counterCount)
    const inbound = new HttpInbound({
      handler: () => {},
      clock: systemClock,
      logger: silentLogger,
      product: 'troop',
      counters,
      limits: defaultLimits,
      fastLane: true,
      reusePort: true,
    })
    address = await inbound.start(address)
    releases.defer(() => inbound.stop())
    all.push(new Counters(counters))
  }
  const accepted = () => all.map((counters) => counters.get('accepted'))
  const clients: Socket[] = []
  releases.defer(() => {
    for (const client of clients) client.destroy()
  })
  for (let n = 0; n < connections; n++) {
    const client = connect(address)
    clients.push(client)
    await once(client, 'connect')
  }
  await until(() => accepted().reduce((sum, count) => sum + count, 0) === connections)
  return accepted()
}
