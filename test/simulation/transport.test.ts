// The mesh over simulated streams holds to what it does over TLS.
import { silentLogger } from '../../src/base/logger.ts'
import { Mesh } from '../../src/cluster/transport/mesh.ts'
import { type TransportWorld, transportSuite } from '../support/transport-suite.ts'
import { chanceFor } from './chance.ts'
import { Network } from './network.ts'
import { Process } from './process.ts'
import { Scheduler } from './scheduler.ts'
import { stepping } from './stepping.ts'
import { SimulatedWire } from './wire.ts'

function simulated(): TransportWorld {
  const scheduler = new Scheduler()
  const network = new Network(scheduler, chanceFor(1, 'network'))
  let hosts = 0
  return {
    transport(cluster) {
      const process = new Process({ scheduler, random: chanceFor(++hosts, 'process') })
      const listen = { host: `10.0.0.${hosts % 250}`, port: 7000 + hosts }
      const wire = new SimulatedWire({ network, process, listen })
      return new Mesh({
        ...{ wire, cluster, urgent: new Set(['probe']), clock: process.clock, logger: silentLogger },
      })
    },
    nowhere: { host: '10.0.0.254', port: 1 },
    ...stepping(scheduler),
  }
}

transportSuite('simulated', simulated, async () => undefined)
