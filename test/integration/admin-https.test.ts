// The Admin API over TLS: real sockets, and clients that check the certificate.
import type { AddressInfo } from 'node:net'
import { expect } from 'chai'
import { AdminServer } from '../../src/node/admin-server.ts'
import { makeSelfSigned } from '../../src/node/self-signed.ts'
import { MemoryStore } from '../../src/testing/memory-store.ts'
import { startAdmin, type TestAdmin } from '../support/admin.ts'
import { certificate, certificateKey } from '../support/certificate.ts'
import { ask, connectTls, exchange } from '../support/raw-http.ts'

describe('the Admin API over HTTPS', () => {
  let plain: TestAdmin
  let server: AdminServer
  let port: number
  let host: string

  before(async () => {
    plain = await startAdmin(new MemoryStore())
    server = new AdminServer({ ...plain.options, tokens: ['t'] }, { certificate, key: certificateKey })
    port = (await server.startTls({ host: '127.0.0.1', port: 0 })).port
    await server.start({ host: '127.0.0.1', port: 0 })
    host = `localhost:${port}`
  })
  after(async () => {
    await server.stop()
    await plain.stop()
  })

  const get = (target: string, headers: readonly string[] = [], tls = {}) =>
    ask(port, target, { headers: ['Host', host, 'Authorization', 'Bearer t', ...headers], tls })

  it('answers a client that trusts its certificate, and no other hears a word', async () => {
    expect((await get('/apis')).status).to.equal(200)
    const refused = await get('/apis', [], { ca: [] }).catch((error) => error)
    expect(refused.code).to.equal('DEPTH_ZERO_SELF_SIGNED_CERT')
    const elsewhere = await get('/apis', [], { servername: 'other.com' }).catch((error) => error)
    expect(elsewhere.code).to.equal('ERR_TLS_CERT_ALTNAME_INVALID')
  })

  it('asks for the token, and looks at Host and Origin with their scheme', async () => {
    expect((await ask(port, '/apis', { headers: ['Host', host], tls: {} })).status).to.equal(401)
    expect((await get('/apis', ['Origin', `https://${host}`])).status).to.equal(200)
    expect((await get('/apis', ['Origin', `http://${host}`])).status).to.equal(403)
    const foreign = ['Host', 'evil.com', 'Authorization', 'Bearer t']
    expect((await ask(port, '/apis', { headers: foreign, tls: {} })).status).to.equal(403)
  })

  it('names the next page by https, without a port that goes without saying', async () => {
    for (const request_host of ['a.com', 'b.com']) {
      await plain.json('POST', '/apis', { request_host, upstream_url: 'http://a.com' })
    }
    expect(JSON.parse((await get('/apis?size=1')).body).next).to.match(new RegExp(`^https://${host}/apis\\?`))
    const bare = await ask(port, '/apis?size=1', {
      headers: ['Host', 'localhost:443', 'Authorization', 'Bearer t'],
      tls: {},
    })
    expect(JSON.parse(bare.body).next).to.match(/^https:\/\/localhost\/apis\?/)
  })

  it('takes nothing older than TLS 1.2, and a client that speaks none harms nobody', async () => {
    const old = await connectTls(port, { maxVersion: 'TLSv1.1', minVersion: 'TLSv1.1' }).catch(
      (error) => error,
    )
    expect(old).to.be.instanceOf(Error)
    await exchange(port, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    expect((await get('/apis')).status).to.equal(200)
  })

  it('shows another certificate from the next handshake on, and keeps open connections', async () => {
    const socket = await connectTls(port)
    const other = makeSelfSigned({ validFrom: 0, validTo: Date.now() + 1e9, serial: '55'.repeat(16) })
    const setup = { ...plain.options, tokens: ['t'] }
    server.reload(setup, other)
    expect((await get('/apis', [], { ca: other.certificate })).status).to.equal(200)
    expect((await get('/apis').catch((error) => error)).code).to.equal('DEPTH_ZERO_SELF_SIGNED_CERT')
    socket.write(
      `GET /apis HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer t\r\nConnection: close\r\n\r\n`,
    )
    const answer = (await socket.setEncoding('utf8').toArray()).join('')
    expect(answer).to.match(/^HTTP\/1\.1 200 /)
    server.reload(setup, { certificate, key: certificateKey })
  })

  it('closes both ports when it stops', async () => {
    const stopping = new AdminServer(plain.options, { certificate, key: certificateKey })
    const ports = [
      await stopping.start({ host: '127.0.0.1', port: 0 }),
      await stopping.startTls({ host: '127.0.0.1', port: 0 }),
    ].map((address: Pick<AddressInfo, 'port'>) => address.port)
    await stopping.stop()
    for (const closed of ports) {
      const error = await ask(closed, '/').catch((thrown) => thrown)
      expect(error.code).to.equal('ECONNREFUSED')
    }
  })
})
