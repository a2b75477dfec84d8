import { expect } from 'chai'
import { grpcHead, isGrpc } from '../../../src/proxy/inbound/grpc-answer.ts'

describe('an answer that is none of gRPC, to a gRPC client', () => {
  const told = (status: number, raw: string[] = [], body?: string) => {
    const head = grpcHead(status, raw, body === undefined ? undefined : Buffer.from(body))
    return Object.fromEntries(head.flatMap((name, i) => (i % 2 === 0 ? [[name, head[i + 1]]] : [])))
  }

  it('has a status that stands for that of HTTP, and UNKNOWN where none does', () => {
    const of = (status: number) => told(status)['grpc-status']
    expect([400, 401, 403, 404, 429, 500, 502, 503, 504].map(of)).deep.equal([
      '3',
      '16',
      '7',
      '12',
      '8',
      '13',
      '14',
      '14',
      '4',
    ])
    expect([200, 301, 418].map(of)).deep.equal(['2', '2', '2'])
  })

  it('keeps fields, but for those about the body', () => {
    const raw = ['content-type', 'text/html', 'content-length', '5', 'content-encoding', 'gzip', 'x', '1']
    expect(told(401, raw)).deep.equal({
      ...{ ':status': '200', 'content-type': 'application/grpc', x: '1' },
      ...{ 'grpc-status': '16', 'grpc-message': 'Unauthorized' },
    })
  })

  it('says the message of JSON, or the text, and of a page or a long text the phrase of the status', () => {
    const of = (body: string) => told(403, [], body)['grpc-message']
    expect(of('{"message":"No"}\n')).equal('No')
    expect(of('{"error":"No"}')).equal('{"error":"No"}')
    expect(of('No\n')).equal('No')
    expect(of('<html></html>')).equal('Forbidden')
    expect(of('x'.repeat(2000))).equal('Forbidden')
  })

  it('has what is no plain text in the message as bytes', () => {
    expect(told(403, [], 'ü 100 %\nb')['grpc-message']).equal('%C3%BC 100 %25%0Ab')
  })

  it('is known by its content type', () => {
    const of = (type: string) => isGrpc(['x', 'application/grpc', 'Content-Type', type])
    expect(['application/grpc', 'application/grpc+proto', 'Application/GRPC;x=y'].map(of)).not.include(false)
    expect(['application/grpc-web', 'application/json', ''].map(of)).not.include(true)
  })
})
