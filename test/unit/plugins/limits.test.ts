import { expect } from 'chai'
import { faultOfLimits, limitsOf } from '../../../src/plugins/limits.ts'

describe('limits', () => {
  it('one is enough, and longer periods may allow as much or more [contract 366]', () => {
    for (const config of [
      { second: 10 },
      { year: 1 },
      { second: 10, hour: 20 },
      { minute: 5, day: 5 },
      { second: 1, minute: 2, hour: 3, day: 4, month: 5, year: 6 },
    ]) {
      expect(faultOfLimits(config), JSON.stringify(config)).equal(undefined)
    }
  })

  it('a longer period that allows less than a shorter one is named with it [contract 366]', () => {
    const fault = (config: Parameters<typeof faultOfLimits>[0]) => faultOfLimits(config)
    expect(fault({ second: 20, hour: 10 })).equal(
      'The limit for hour cannot be lower than the limit for second',
    )
    expect(fault({ hour: 10, second: 20 })).equal(
      'The limit for hour cannot be lower than the limit for second',
    )
    expect(fault({ second: 1, minute: 9, day: 10, year: 8 })).equal(
      'The limit for year cannot be lower than the limit for minute',
    )
  })

  it('none at all, or none but null, is a fault [contract 365]', () => {
    const text = 'You need to set at least one limit: second, minute, hour, day, month, year'
    expect(faultOfLimits({ async: true })).equal(text)
    expect(faultOfLimits({ second: null })).equal(text)
  })

  it('one that allows nothing is a fault, before their order is looked at', () => {
    expect(faultOfLimits({ second: 20, minute: 0 })).equal('Value for minute must be greater than zero')
    expect(faultOfLimits({ year: -1 })).equal('Value for year must be greater than zero')
  })

  it('only what is a number limits anything', () => {
    expect(limitsOf({ second: 1, hour: null, async: true })).deep.equal({ second: 1 })
  })
})
