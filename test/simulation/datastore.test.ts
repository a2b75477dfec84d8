// The simulated datastore does what the real one does: test/integration/datastore.test.ts runs the same suite on Postgres.
import { type DatastoreWorld, datastoreSuite } from '../support/datastore-suite.ts'
import { chanceFor } from './chance.ts'
import { Datastore } from './datastore.ts'
import { simulatedForms } from './forms.ts'
import { Network } from './network.ts'
import { Process } from './process.ts'
import { Scheduler } from './scheduler.ts'
import { Server, Session } from './session.ts'
import { stepping } from './stepping.ts'

async function simulated(): Promise<DatastoreWorld> {
  const scheduler = new Scheduler()
  const network = new Network(scheduler, chanceFor(1, 'network'))
  const datastore = new Datastore(scheduler, chanceFor(1, 'datastore'))
  const server = new Server(datastore, network, chanceFor(1, 'server'))
  let clients = 0
  return {
    client() {
      const host = `10.0.0.${++clients}`
      const process = new Process({ scheduler, random: chanceFor(clients, 'process') })
      return simulatedForms(
        new Session(server, process, host, { read() {}, listens() {}, pulls() {}, beat() {} }),
      )
    },
    async age(name, byMs) {
      const row = datastore.nodes.get(name)
      if (!row) return
      const forced_at = row.forced_at === null ? null : row.forced_at - byMs
      datastore.touchNode(name, { last_seen: row.last_seen - byMs, forced_at })
    },
    async cutOff(position) {
      datastore.cutOff(position)
    },
    async breakListening() {
      for (let i = 1; i <= clients; i++) server.breakSubscriptions(`10.0.0.${i}`)
    },
    ...stepping(scheduler),
    async stop() {},
  }
}

datastoreSuite('simulated', simulated)
