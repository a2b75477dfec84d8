// A gRPC server and a client for it, without a schema: messages are bytes.
import * as grpc from '@grpc/grpc-js'
import { certificate, certificateKey } from './certificate.ts'

const bytes = (value: Buffer) => value
const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
  ...{ path: `/test.Echo/${name}`, requestStream, responseStream },
  ...{ requestSerialize: bytes, requestDeserialize: bytes },
  ...{ responseSerialize: bytes, responseDeserialize: bytes },
})

export const service = {
  one: method('one', false, false),
  many: method('many', false, true),
  both: method('both', true, true),
  collect: method('collect', true, false),
  fail: method('fail', false, false),
  wait: method('wait', false, false),
}

type Call = grpc.ServerUnaryCall<Buffer, Buffer>

export class GrpcServer {
  readonly #server = new grpc.Server({
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
  })
  /** What calls came with, the newest last. */
  readonly calls: grpc.Metadata[] = []
  /** Calls that were cancelled. */
  cancelled = 0
  #port = 0

  async start(credentials = grpc.ServerCredentials.createInsecure()): Promise<this> {
    this.#server.addService(service, {
      one: (call: Call, done: grpc.sendUnaryData<Buffer>) => {
        this.#note(call)
        const [answer] = call.metadata.get('x-answer')
        const trailer = new grpc.Metadata()
        trailer.set('x-trailer', 'after')
        if (answer !== undefined) {
          const header = new grpc.Metadata()
          header.set('x-header', answer)
          header.set('x-bytes-bin', Buffer.from([0, 255]))
          call.sendMetadata(header)
        }
        done(null, call.request, trailer)
      },
      many: (call: grpc.ServerWritableStream<Buffer, Buffer>) => {
        this.#note(call)
        for (let i = 0; i < Number(call.request); i++) call.write(Buffer.from(`${i}`))
        call.end()
      },
      both: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => {
        this.#note(call)
        call.on('data', (message: Buffer) => call.write(Buffer.from(`told ${message}`)))
        call.on('end', () => call.end())
      },
      collect: (call: grpc.ServerReadableStream<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
        let size = 0
        call.on('data', (message: Buffer) => {
          size += message.length
        })
        call.on('end', () => done(null, Buffer.from(`${size}`)))
      },
      fail: (_call: Call, done: grpc.sendUnaryData<Buffer>) =>
        done({ code: grpc.status.FAILED_PRECONDITION, details: 'nö: 100 %' }),
      wait: (call: Call) => {
        this.#note(call)
        call.on('cancelled', () => this.cancelled++)
      },
    })
    this.#port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync('127.0.0.1:0', credentials, (error, port) =>
        error ? reject(error) : resolve(port),
      )
    })
    return this
  }

  get port(): number {
    return this.#port
  }

  stop(): void {
    this.#server.forceShutdown()
  }

  #note({ metadata }: { metadata: grpc.Metadata }): void {
    this.calls.push(metadata)
  }
}

export function tlsCredentials(): grpc.ServerCredentials {
  const pair = { private_key: Buffer.from(certificateKey), cert_chain: Buffer.from(certificate) }
  return grpc.ServerCredentials.createSsl(null, [pair])
}

const options = {
  'grpc.default_authority': 'test',
  'grpc.ssl_target_name_override': 'localhost',
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
  'grpc.enable_retries': 0,
}

export interface Told {
  readonly message: string
  readonly code: grpc.status
  readonly details: string
  readonly headers: grpc.Metadata | undefined
  readonly trailers: grpc.Metadata
}

/** Of the listener for TLS of a gateway; it asks for the host `test`. */
export class GrpcClient {
  readonly #client: grpc.Client

  /** @param ca  whose certificate it takes; default: that of the tests */
  constructor(port: number, ca = certificate) {
    const credentials = grpc.credentials.createSsl(Buffer.from(ca))
    this.#client = new grpc.Client(`localhost:${port}`, credentials, options)
  }

  async one(
    name: 'one' | 'fail' | 'wait' | 'nobody',
    message: Buffer | string,
    metadata: Record<string, string> = {},
    call: grpc.CallOptions = {},
    begun: (call: grpc.ClientUnaryCall) => void = () => {},
  ): Promise<Told> {
    let headers: grpc.Metadata | undefined
    const answer = Promise.withResolvers<string>()
    const status = Promise.withResolvers<grpc.StatusObject>()
    const made = this.#client.makeUnaryRequest(
      `/test.Echo/${name}`,
      bytes,
      bytes,
      Buffer.from(message),
      metadataOf(metadata),
      call,
      (_error, value) => answer.resolve(String(value ?? '')),
    )
    made.on('metadata', (metadata) => {
      headers = metadata
    })
    made.on('status', status.resolve)
    begun(made)
    const [text, { code, details, metadata: trailers }] = await Promise.all([answer.promise, status.promise])
    return { message: text, code, details, headers, trailers }
  }

  many(count: number): grpc.ClientReadableStream<Buffer> {
    return this.#client.makeServerStreamRequest('/test.Echo/many', bytes, bytes, Buffer.from(`${count}`))
  }

  both(): grpc.ClientDuplexStream<Buffer, Buffer> {
    return this.#client.makeBidiStreamRequest('/test.Echo/both', bytes, bytes)
  }

  collect(messages: readonly Buffer[]): Promise<string> {
    return new Promise((resolve, reject) => {
      const call = this.#client.makeClientStreamRequest<Buffer, Buffer>(
        '/test.Echo/collect',
        bytes,
        bytes,
        (error, value) => (error ? reject(error) : resolve(String(value))),
      )
      for (const message of messages) call.write(message)
      call.end()
    })
  }

  close(): void {
    this.#client.close()
  }
}

function metadataOf(values: Record<string, string>): grpc.Metadata {
  const metadata = new grpc.Metadata()
  for (const [name, value] of Object.entries(values)) metadata.set(name, value)
  return metadata
}
