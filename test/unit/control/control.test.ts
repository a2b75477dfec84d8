// Over a real loopback socket, since what is held here is who gets through it.
import { chmod, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { formatAddress } from '../../../src/base/address.ts'
import { systemClock } from '../../../src/base/clock.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { systemRandom } from '../../../src/base/random.ts'
import {
  type Audit,
  type ClusterPositions,
  type ControlMethods,
  connectControl,
  type NodeStatus,
  type Reach,
} from '../../../src/control/control.ts'
import { type ControlServer, createControlServer } from '../../../src/control/server.ts'
import { makeToken, readControlAccess, writeControlAccess } from '../../../src/control/token.ts'
import { encodeFrame } from '../../../src/rpc/wire.ts'

const status: NodeStatus = {
  pid: 1,
  version: '0.1.0',
  name: 'a_127.0.0.1_x',
  uptimeMs: 5,
  ready: true,
  position: 7,
  workers: { running: 2, wanted: 2 },
  listeners: { proxy_listen: '127.0.0.1:8000' },
  datastore: 'postgres',
  datastoreAnswers: true,
}

const positions: ClusterPositions = {
  head: 9,
  digest: 'ab',
  members: [
    {
      ...{ name: 'a', address: '10.0.0.1:7946', status: 'alive', applied: 9, lag: 0 },
      ...{ freshnessMs: 40.5, silentMs: 3200, propagationMs: { write: 1.5 } },
    },
    {
      ...{ name: 'b', address: '10.0.0.2:7946', status: 'failed', applied: null, lag: null },
      ...{ freshnessMs: null, silentMs: null, propagationMs: {} },
    },
  ],
}

/** As many as make an answer of more than a megabyte. */
const names = Array.from({ length: 150 }, (_, i) => `gateway-${i}_10.0.0.1:7946_${'0'.repeat(32)}`)
const reaches: readonly Reach[] = names.map((name) => ({
  ...{ name, address: '10.0.0.1:7946' },
  links: names.map((to) => ({ to, roundTripMs: null, error: 'no connection to it' })),
}))

const audit: Audit = {
  ...{ position: 1, digest: 'ab', checked: { entries: 1, workerEntries: 2, rows: 3 } },
  ...{ wrong: [{ where: 'node', family: 'apis', count: 1 }], repaired: 1, digests: { apis: 'cd' } },
}

describe('control', () => {
  const token = makeToken(systemRandom)
  let dir: string
  let file: string
  let server: ControlServer
  let asked: string[]

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'troop-control-'))
    file = join(dir, 'control.json')
    asked = []
    const methods: ControlMethods = {
      status: () => status,
      reload: async () => ({ applied: ['trusted_ips'], restart: [] }),
      stop: () => void asked.push('stop'),
      quit: () => void asked.push('quit'),
      positions: async () => positions,
      reachability: async () => reaches,
      verify: async (limitMs) =>
        new Map([
          ['a', { value: { ...audit, position: limitMs } }],
          ['b', { error: 'no connection to it' }],
          ['c', { value: { ...audit, wrong: 'nothing' } }],
        ]),
      forceLeave: async ({ name }) => name === 'a',
    }
    const listen = { host: '127.0.0.1', port: 0 }
    server = await createControlServer({ listen, token, methods, logger: silentLogger, clock: systemClock })
    await writeControlAccess(file, { address: formatAddress(server.address), token }, systemRandom)
  })
  afterEach(async () => {
    await server.stop()
    await rm(dir, { recursive: true })
  })

  it('carries out what the holder of the token asks', async () => {
    const client = await connectControl(file, systemClock)
    expect(await client.status()).to.deep.equal(status)
    expect(await client.reload()).to.deep.equal({ applied: ['trusted_ips'], restart: [] })
    await client.stop()
    await client.quit()
    expect(asked).to.deep.equal(['stop', 'quit'])
    expect(await client.forceLeave('a', false)).to.equal(true)
    expect(await client.forceLeave('b', true)).to.equal(false)
    await client.close()
  })

  it('asks all nodes, however long the answer is', async () => {
    const client = await connectControl(file, systemClock)
    expect(await client.positions()).to.deep.equal(positions)
    expect(await client.reachability()).to.deep.equal(reaches)
    await client.close()
  })

  it('has from each node what it found, and tells a report that is none', async () => {
    const client = await connectControl(file, systemClock)
    expect(await client.verify(2500)).to.deep.equal({
      a: { value: { ...audit, position: 2500 } },
      b: { error: 'no connection to it' },
      c: { error: 'it answers what this version does not understand' },
    })
    await client.close()
  })

  it('refuses a wrong token, and says why', async () => {
    const wrong = { address: formatAddress(server.address), token: makeToken(systemRandom) }
    await writeControlAccess(file, wrong, systemRandom)
    const error = await connectControl(file, systemClock).catch((thrown) => thrown)
    expect(error).to.include({ code: 'control-refused', message: 'the control token is wrong' })
  })

  it('carries out nothing before the token was shown', async () => {
    const socket = connect(server.address)
    socket.write(encodeFrame({ id: 0, method: 'stop' }, 1000))
    const answer = await new Promise<string>((resolve) => {
      let text = ''
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1')
      })
      socket.on('close', () => resolve(text))
    })
    expect(answer).to.match(/control-refused/)
    expect(asked).to.deep.equal([])
  })

  it('says that nothing answers where no node listens', async () => {
    await server.stop()
    const error = await connectControl(file, systemClock).catch((thrown) => thrown)
    expect(error.code).to.equal('control-away')
    await rm(file)
    expect((await connectControl(file, systemClock).catch((thrown) => thrown)).code).to.equal('control-away')
  })

  it('ends connections when it stops', async () => {
    const client = await connectControl(file, systemClock)
    await server.stop()
    const error = await client.status().catch((thrown) => thrown)
    expect(error.code).to.equal('rpc-closed')
  })

  describe('its token file', () => {
    it('can be read by its owner only, also where a readable one was before', async () => {
      await chmod(file, 0o644)
      await writeControlAccess(file, { address: '127.0.0.1:1', token }, systemRandom)
      expect((await stat(file)).mode & 0o777).to.equal(0o600)
      expect(await readControlAccess(file)).to.deep.equal({ address: '127.0.0.1:1', token })
    })

    it('is refused when it holds something else', async () => {
      await writeFile(file, 'not json')
      const error = await readControlAccess(file).catch((thrown) => thrown)
      expect(error.code).to.equal('control-refused')
    })
  })
})
