import { expect } from 'chai'
import { Unknown } from '../../../src/catalog/errors.ts'
import {
  apiNotFound,
  errorPage,
  resolutionFailed,
  UpstreamFailed,
  upstreamErrorPage,
} from '../../../src/proxy/errors.ts'

describe('error answers', () => {
  const page = (accept: string | undefined) => {
    const { body, headers } = errorPage(504, accept)
    return [headers?.['Content-Type'], body]
  }
  const text = 'The upstream server is timing out'

  it('pages come in four formats, chosen by substring in a fixed order', () => {
    expect(page(undefined)).deep.equal(['text/plain', `${text}\n`])
    expect(page('*/*')).deep.equal(['text/plain', `${text}\n`])
    expect(page('application/json')).deep.equal(['application/json', `{"message":"${text}"}\n`])
    expect(page('application/xml')).deep.equal([
      'application/xml',
      `<?xml version="1.0" encoding="UTF-8"?>\n<error><message>${text}</message></error>\n`,
    ])
    const [type, html] = page('application/xml, application/json, text/html')
    expect(type).equal('text/html')
    expect(html).match(
      /<title>Troop Error<\/title>[\s\S]*<h1>Troop Error<\/h1>[\s\S]*<p>The upstream server is timing out\.<\/p>/,
    )
  })

  it('a failed upstream is 502, 503 or 504 with the text of each', () => {
    const told = (reason: UpstreamFailed['reason']) => {
      const { status, body } = upstreamErrorPage(new UpstreamFailed(reason, 'x'), undefined)
      return `${status} ${body}`
    }
    expect(told('refused')).equal('502 An invalid response was received from the upstream server\n')
    expect(told('busy')).equal('503 The upstream server is currently unavailable\n')
    expect(told('read-timeout')).equal(`504 ${text}\n`)
    expect(upstreamErrorPage(new Error('x'), undefined).status).equal(500)
    expect(errorPage(599, undefined).body).equal('The upstream server responded with 599\n')
  })

  it('an unknown API is told with what was tried, an empty list when there was no host [contract 91]', () => {
    const { status, body } = apiNotFound('/request', [])
    expect(status).equal(404)
    expect(JSON.stringify(body)).equal(
      '{"request_path":"/request","message":"API not found with these values","request_host":[]}',
    )
  })

  it('what a plugin could not write is 503', () => {
    const { status, headers } = resolutionFailed(Object.assign(new Error('away'), { code: 'write-failed' }))
    expect([status, headers]).deep.equal([503, { 'Retry-After': '1' }])
  })

  it('what is not known is 503 with a reason and without the key; what broke is 500', () => {
    const unknown = resolutionFailed(new Unknown('keyauth_credentials:secret'))
    expect(unknown.status).equal(503)
    expect(JSON.stringify(unknown.body))
      .match(/datastore/)
      .not.match(/secret/)
    expect(resolutionFailed(new Error('boom'))).deep.include({
      status: 500,
      body: { message: 'An unexpected error occurred' },
    })
  })
})
