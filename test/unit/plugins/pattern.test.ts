import { expect } from 'chai'
import fc from 'fast-check'
import { compilePattern } from '../../../src/plugins/bot-detection/pattern.ts'

describe('a pattern', () => {
  const matches = (source: string, text: string) => compilePattern(source)(text)

  it('is found as the regular expressions of JavaScript find it', () => {
    const sources = [
      ...[
        'abc',
        'a|b',
        'a|',
        '(a|b)c',
        '(?:ab)+c',
        'a*b',
        'a+?b',
        'ab?c',
        'a{2}',
        'a{2,}b',
        'a{1,3}$',
        '^a',
        'c$',
      ],
      ...[
        '^$',
        '',
        '[abc]+',
        '[^a-c]',
        '[a\\-c]',
        '[-a]',
        '[a-]',
        '.b',
        '\\bab\\b',
        '\\Bb',
        '\\d\\w\\s',
        '[\\d\\s]',
        '\\D',
      ],
      ...[
        'a\\.b',
        '(a*)*b',
        '(a|a)*c',
        '((a)|(b|c){2})+$',
        '\\(a\\)',
        'a{',
        'x{,2}',
        '(^a|c$)b?',
        '[^\\w]',
        '()b',
        '(a?){3}b',
      ],
    ]
    const text = fc.string({
      unit: fc.constantFrom('a', 'b', 'c', '1', ' ', '.', '-', '(', ')', '{', 'x', 'é'),
      maxLength: 12,
    })
    for (const source of sources.filter((source) => !['a{', 'x{,2}'].includes(source))) {
      fc.assert(
        fc.property(text, (text) => {
          expect(matches(source, text), `${source} in "${text}"`).equal(new RegExp(source).test(text))
        }),
        { numRuns: 60 },
      )
    }
  })

  it('ignores case where it begins with (?i)', () => {
    expect(matches('(?i)cUrl/[a-f]', 'Curl/B')).equal(true)
    expect(matches('cUrl', 'Curl')).equal(false)
    expect(matches('(?i)^[^a]$', 'A')).equal(false)
    expect(matches('(?i)^\\D$', '1')).equal(false)
  })

  it('takes steps in proportion to the text where JavaScript would take a lifetime', () => {
    for (const source of ['(a+)+$', '(a|a)*b', '(a*)*c', '^(([a-z])+.)+[A-Z]$']) {
      expect(matches(source, `${'a'.repeat(1000)}!`)).equal(false)
    }
  })

  it('is refused with what is wrong, or not known', () => {
    const wrong = {
      '(a': 'a ( without its )',
      'a)': 'a ) without its (',
      '*a': 'nothing that * could repeat',
      '(?=a)': '(?= is not known',
      '(a)\\1': '\\1 is not known',
      '[a': 'it ends where a ] should be',
      'a\\': 'it ends where a character after \\ should be',
      '[z-a]': 'z-a is no range',
      'a{3,2}': 'is not between 0 and 100',
      'a{101}': 'is not between 0 and 100',
      'a**': 'a repetition of a repetition',
      '((a{100}){100}){100}': 'more than 2000 steps',
      [`${'a'.repeat(501)}`]: 'longer than 500 characters',
    }
    for (const [source, told] of Object.entries(wrong))
      expect(() => compilePattern(source), source).throw(told)
  })
})
