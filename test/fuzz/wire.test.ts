// Whatever comes over a connection between nodes, or from a command line: taken, or refused by a named error.
import { Duplex, duplexPair } from 'node:stream'
import { expect } from 'chai'
import fc from 'fast-check'
import { systemClock } from '../../src/base/clock.ts'
import { codeOf, TroopError } from '../../src/base/errors.ts'
import { loggedEvent } from '../../src/cluster/delivery/push.ts'
import { membershipMessage } from '../../src/cluster/membership/message.ts'
import { farewell, hello } from '../../src/cluster/transport/transport.ts'
import { hello as controlHello, forcedLeave, verifyOrder } from '../../src/control/control.ts'
import { RpcConnection } from '../../src/rpc/rpc.ts'
import { encodeFrame, FrameDecoder } from '../../src/rpc/wire.ts'
import { anyJson, isUnpolluted, runs } from './runs.ts'

const frameBytesMax = 1 << 12

/** Random bytes, and frames: whole, cut, of the wrong length, or not of JSON. */
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 64 }).map((some) => Buffer.from(some)),
  anyJson.map((value) => Buffer.from(encodeFrame(value, 1 << 20))),
  fc
    .tuple(fc.integer({ min: 0, max: 2 ** 32 - 1 }), fc.uint8Array({ maxLength: 32 }))
    .map(([length, body]) => {
      const header = Buffer.alloc(4)
      header.writeUInt32BE(length)
      return Buffer.concat([header, body])
    }),
)

/** What looks like the messages of the protocol, with something else where it matters. */
const almost = fc.record(
  {
    id: anyJson,
    method: anyJson,
    params: anyJson,
    result: anyJson,
    error: anyJson,
    reason: anyJson,
    position: anyJson,
  },
  { requiredKeys: [] },
)

describe('the wire', () => {
  it('decodes any bytes, cut anywhere, to messages or to a named refusal, and never holds more than a frame', () => {
    fc.assert(
      fc.property(
        fc.array(bytes, { maxLength: 6 }),
        fc.array(fc.nat(50), { maxLength: 20 }),
        (parts, cuts) => {
          const decoder = new FrameDecoder(frameBytesMax)
          const stream = Buffer.concat(parts)
          let from = 0
          try {
            for (const cut of [...cuts, stream.length]) {
              decoder.push(stream.subarray(from, from + cut))
              from += cut
            }
          } catch (error) {
            expect(error).to.be.instanceOf(TroopError)
            expect(codeOf(error)).to.equal('rpc-protocol')
          }
          expect(isUnpolluted()).to.equal(true)
        },
      ),
      runs(300),
    )
  })

  it('answers, ignores or hangs up on any messages, and its own calls still end', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(almost, anyJson), { minLength: 1, maxLength: 5 }),
        async (messages) => {
          const [ours, theirs] = duplexPair()
          const connection = new RpcConnection(ours, {
            clock: systemClock,
            handle: (_, params) => params,
            receive: () => {},
            frameBytesMax: 1 << 20,
          })
          const call = connection.call('ask', undefined, 5000).catch((error) => error)
          theirs.on('error', () => {}).resume()
          for (const message of messages) if (!theirs.destroyed) theirs.write(encodeFrame(message, 1 << 20))
          await new Promise((resolve) => setImmediate(resolve))
          await connection.stop(0)
          const ended = await call
          if (ended instanceof Error) expect(ended).to.be.instanceOf(TroopError)
          expect(isUnpolluted()).to.equal(true)
          expect(ours).to.be.instanceOf(Duplex)
        },
      ),
      runs(150),
    )
  })

  it('finds any value to be a message of the protocol or not, and throws nothing', () => {
    const schemas = {
      hello,
      farewell,
      membershipMessage,
      loggedEvent,
      controlHello,
      forcedLeave,
      verifyOrder,
    }
    fc.assert(
      fc.property(fc.constantFrom(...Object.values(schemas)), fc.oneof(anyJson, almost), (schema, value) => {
        expect(schema.safeParse(value).success).to.be.a('boolean')
        expect(isUnpolluted()).to.equal(true)
      }),
      runs(500),
    )
  })
})
