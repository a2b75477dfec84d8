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
import { type ControlMethods, connectControl, type NodeStatus } from '../../../src/control/control.ts'
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
      members: () => [{ name: 'a', address: '10.0.0.1:7946', status: 'alive', life: 3 }],
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
    expect((await client.members()).map(({ name }) => name)).to.deep.equal(['a'])
    expect(await client.forceLeave('a', false)).to.equal(true)
    expect(await client.forceLeave('b', true)).to.equal(false)
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
