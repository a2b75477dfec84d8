import { expect } from 'chai'
import { scenario } from './scenario.ts'

describe('in a simulated cluster that refuses rather than serve what may be old', () => {
  it('a node does not go on in a life that may have ended in what it has jumped over', () =>
    scenario(
      3,
      ({ world, node, change, changePast, run }) => {
        const { network, scheduler, datastore } = world
        const [host, server] = ['10.0.0.3', '10.0.0.200']
        const alone = ['10.0.0.1', '10.0.0.2'].flatMap((other) => [
          network.cut(other, host),
          network.cut(host, other),
        ])
        // Between two looks at the rows of all, one of which would tell it.
        run(200)
        const cutOff = () => [network.cut(host, server), network.cut(server, host)]
        const askAll = () => {
          for (const question of world.workload.everything()) world.ask(node(3), 0, question)
        }
        const calm = world.disturb([host])
        const away = cutOff()
        void node(1).agent.cluster.forceLeave(node(3).name)
        run(100)
        changePast(1)
        datastore.cutOff(datastore.head.position)
        // By now nobody waits for it any more.
        run(1000)
        for (const end of away) end()
        const isFresh = () => (node(3).agent.cluster.freshnessMs ?? 1000) < 300
        scheduler.runUntil(() => isFresh() && node(3).applied.digest === datastore.head.digest, 1600, 1)
        askAll()
        run(60)
        const again = cutOff()
        const told = change(node(1))
        run(500)
        askAll()
        run(100)
        for (const end of [...again, ...alone]) end()
        calm()
        expect(told.answer).to.not.equal(undefined)
      },
      { onStale: 'refuse', maxStalenessMs: 1000, heartbeatIntervalMs: 500 },
    ))
})
