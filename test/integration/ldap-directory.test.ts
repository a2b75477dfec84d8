// Connections to directories that do what a good one does not.
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createSecureContext, TLSSocket } from 'node:tls'
import { expect } from 'chai'
import { systemClock } from '../../src/base/clock.ts'
import { codeOf } from '../../src/base/errors.ts'
import { element, integer, text } from '../../src/plugins/ldap-auth/ber.ts'
import { Directory, type DirectoryOptions } from '../../src/plugins/ldap-auth/directory.ts'
import { certificate, certificateKey } from '../support/certificate.ts'

describe('a directory', () => {
  let server: Server
  let directory: Directory
  let connections: number

  /** @param hear  what it does with the messages that come on one connection, the first of which has the id 1 */
  const start = async (
    hear: (socket: Socket, id: number) => void,
    options: Partial<DirectoryOptions> = {},
  ) => {
    connections = 0
    server = createServer((socket) => {
      connections++
      socket.on('error', () => {})
      socket.on('data', (bytes) => hear(socket, bytes[4] as number))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    directory = new Directory({
      ...{ host: '127.0.0.1', port, startTls: false, verify: false, timeoutMs: 5000, keepaliveMs: 60_000 },
      ...{ clock: systemClock, context: () => createSecureContext({ ca: certificate }) },
      ...options,
    })
  }

  afterEach(async () => {
    directory.stop()
    server.close()
    await once(server, 'close')
  })

  const ask = () => directory.isRight('cn=x', 'password')
  const failure = async () => {
    const error: Error = await ask().then(
      (isRight) => expect.fail(`it was told: ${isRight}`),
      (error) => error,
    )
    expect(codeOf(error)).equal('directory-away')
    return String((error.cause as Error).message)
  }

  const answers: [code: number, isRight: boolean | undefined][] = [
    [0, true],
    [49, false],
    [32, false],
    [53, false],
    [1, undefined],
    [8, undefined],
    [10, undefined],
    [13, undefined],
    [51, undefined],
    [52, undefined],
    [80, undefined],
  ]
  for (const [code, isRight] of answers) {
    const what = { true: 'right', false: 'wrong', undefined: 'not known' }[String(isRight)]
    it(`that answers with code ${code} says that a password is ${what}`, async () => {
      await start((socket, id) => socket.write(answer(id, bind, code)))
      if (isRight === undefined) expect(await failure()).equal(`it answers with code ${code}: because`)
      else expect(await ask()).equal(isRight)
    })
  }

  it('that answers byte by byte is understood', async () => {
    await start(async (socket, id) => {
      for (const byte of answer(id, bind, 0)) {
        socket.write(Buffer.from([byte]))
        await new Promise((resolve) => setImmediate(resolve))
      }
    })
    expect(await ask()).equal(true)
  })

  const strange: [what: string, bytes: (id: number) => Buffer, message: RegExp][] = [
    ['of another request', (id) => answer(id + 1, bind, 0), /something else/],
    ['of another kind', (id) => answer(id, extended, 0), /something else/],
    ['that is not LDAP', () => Buffer.from('HTTP/1.1 200 OK\r\n\r\n'.repeat(20)), /not LDAP/],
    ['that has no end', () => Buffer.from([0x30, 0x84, 0x7f, 0xff, 0xff, 0xff]), /not LDAP/],
  ]
  for (const [what, bytes, message] of strange) {
    it(`with an answer ${what} is not believed, and asked over another connection next`, async () => {
      await start((socket, id) => socket.write(connections === 1 ? bytes(id) : answer(id, bind, 0)))
      expect(await failure()).match(message)
      expect(await ask()).equal(true)
    })
  }

  it('that closed an idle connection is asked over a new one, and nobody notices', async () => {
    await start((socket, id) => {
      if (connections === 1 && id === 2) socket.destroy()
      else socket.write(answer(id, bind, 0))
    })
    expect(await ask()).equal(true)
    expect(await ask()).equal(true)
    expect(connections).equal(2)
  })

  it('that closes each connection before it answers is away', async () => {
    await start((socket) => socket.destroy())
    expect(await failure()).match(/closed|ECONNRESET/)
    expect(connections).equal(1)
  })

  it('that says something unasked is not asked over that connection any more', async () => {
    await start((socket, id) => {
      // The second one would be the answer to the bind that follows.
      socket.write(Buffer.concat([answer(id, bind, 49), answer(id + 1, bind, 0)]))
    })
    expect(await ask()).equal(false)
    expect(await ask()).equal(false)
    expect(connections).equal(2)
  })

  it('is asked over 16 connections at the most, and whoever comes after that waits', async () => {
    const waiting: (() => void)[] = []
    let full = Promise.withResolvers<void>()
    await start((socket, id) => {
      waiting.push(() => socket.write(answer(id, bind, 0)))
      if (waiting.length === 16) full.resolve()
    })
    const asked = Promise.all(Array.from({ length: 48 }, ask))
    for (let round = 1; round <= 3; round++) {
      await full.promise
      full = Promise.withResolvers()
      for (const tell of waiting.splice(0)) tell()
    }
    expect(await asked).deep.equal(Array.from({ length: 48 }, () => true))
    expect(connections).equal(16)
  })

  it('that does not answer is away after the timeout, however often it is asked', async () => {
    await start(() => {}, { timeoutMs: 20 })
    expect(await failure()).equal('no answer within 20 ms')
    expect(await failure()).equal('no answer within 20 ms')
    expect(connections).equal(2)
  })

  it('is not asked any more once it was stopped, and who waits is told', async () => {
    await start(() => directory.stop())
    expect(await failure()).equal('the connection was given up')
    expect(await failure()).equal('nothing is asked any more')
    expect(directory.isUnused).equal(true)
  })

  describe('by StartTLS', () => {
    /** Refuses every bind, once it is encrypted. */
    const encrypt = (socket: Socket, code: number) => {
      socket.removeAllListeners('data')
      const encrypted = new TLSSocket(socket, { isServer: true, cert: certificate, key: certificateKey })
      encrypted.on('error', () => {})
      encrypted.on('data', (bytes: Buffer) => encrypted.write(answer(bytes[4] as number, bind, code)))
    }

    it('is asked encrypted, and verified if it is to be', async () => {
      const verified = { startTls: true, verify: true, host: 'localhost' }
      await start((socket, id) => {
        socket.write(answer(id, extended, 0))
        encrypt(socket, 0)
      }, verified)
      expect(await ask()).equal(true)
      expect(await ask()).equal(true)
      expect(connections).equal(1)
    })

    it('whose certificate is for another name is not told the password', async () => {
      await start(
        (socket, id) => {
          socket.write(answer(id, extended, 0))
          encrypt(socket, 0)
        },
        { startTls: true, verify: true },
      )
      expect(await failure()).match(/does not match certificate/)
    })

    it('that refuses is not told the password in the clear', async () => {
      const seen: number[] = []
      await start(
        (socket, id) => {
          seen.push(id)
          socket.write(answer(id, extended, 53))
        },
        { startTls: true },
      )
      expect(await failure()).equal('StartTLS was refused with code 53: because')
      expect(seen).deep.equal([1])
    })

    // Who is between can add to what comes in the clear: read as encrypted, it would be the answer to the bind.
    const added: [what: string, bytes: Buffer][] = [
      ['a whole answer', answer(2, 0x61, 0)],
      ['an answer that the true one completes', beginningOf(2, 21)],
    ]
    for (const [what, bytes] of added) {
      it(`is not believed when ${what} is added in the clear`, async () => {
        await start(
          (socket, id) => {
            socket.write(Buffer.concat([answer(id, extended, 0), bytes]))
            encrypt(socket, 49)
          },
          { startTls: true },
        )
        expect(await failure()).match(/in the clear|unasked/)
      })
    }
  })
})

const bind = 0x61
const extended = 0x78

function answer(id: number, operation: number, code: number): Buffer {
  const result = [element(0x0a, Buffer.from([code])), text(''), text('because')]
  return element(0x30, integer(id), element(operation, ...result))
}

/** A success whose last text is what `missing` more bytes will be. */
function beginningOf(id: number, missing: number): Buffer {
  const whole = element(
    0x30,
    integer(id),
    element(0x61, element(0x0a, Buffer.from([0])), text(''), text('x'.repeat(missing))),
  )
  return whole.subarray(0, -missing)
}
