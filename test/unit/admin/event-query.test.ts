// What is asked of the log, as parameters say it.
import { expect } from 'chai'
import { nextEventsUrl, parseEventQuery } from '../../../src/admin/event-query.ts'
import type { JsonObject } from '../../../src/base/json.ts'

describe('a query of the log', () => {
  const parse = (parameters: JsonObject) => parseEventQuery(parameters, ['apis', 'nodes'])
  const fault = (parameters: JsonObject) => {
    try {
      parse(parameters)
    } catch (error) {
      return (error as { errors?: unknown }).errors
    }
    return undefined
  }
  const nothing = { entity: undefined, operation: undefined }

  it('asks for a hundred events from the oldest on unless it says otherwise', () => {
    expect(parse({})).to.deep.equal({ since: undefined, size: 100, filter: nothing })
    expect(parse({ since: '0', size: 1000, entity: 'nodes', operation: 'delete' })).to.deep.equal({
      since: 0,
      size: 1000,
      filter: { entity: 'nodes', operation: 'delete' },
    })
    expect(parse({ size: '0' }).size).to.equal(0)
  })

  it('is refused by name and value when a number is none, or out of bounds', () => {
    for (const since of ['', 'abc', '-1', '1.5', true, 2 ** 53, null, ['1']]) {
      const text = `since is not a whole number from 0: ${JSON.stringify(since)}`
      expect(fault({ since })).to.deep.equal({ since: text })
    }
    for (const size of ['1001', -1, 'all']) {
      const text = `size is not a whole number from 0 to 1000: ${JSON.stringify(size)}`
      expect(fault({ size })).to.deep.equal({ size: text })
    }
  })

  it('is refused by name and value when a word is not one of those that there are', () => {
    expect(fault({ entity: 'api' })).to.deep.equal({
      entity: '"api" is not allowed. Allowed values are: "apis", "nodes"',
    })
    expect(fault({ operation: 'CREATE' })).to.deep.equal({
      operation:
        '"CREATE" is not allowed. Allowed values are: "create", "update", "delete", "reset", "genesis"',
    })
    expect(fault({ offset: 'Mg==' })).to.deep.equal({ offset: 'unknown field' })
  })

  it('goes on where a page ended, with its size and filters', () => {
    const next = (parameters: JsonObject) => nextEventsUrl('http://gw/cluster/events', parse(parameters), 7)
    expect(next({ since: 3 })).to.equal('http://gw/cluster/events?since=7&size=100')
    expect(next({ size: 2, operation: 'update', entity: 'apis' })).to.equal(
      'http://gw/cluster/events?since=7&size=2&entity=apis&operation=update',
    )
  })
})
