// Names by which crawlers and the like call themselves: part of their User-Agent, in lower case. Who does not want to be
// known calls himself something else.

export const knownBots: readonly string[] = [
  // search engines
  ...[
    'googlebot',
    'bingbot',
    'slurp',
    'duckduckbot',
    'baiduspider',
    'yandexbot',
    'sogou',
    'applebot',
    'petalbot',
  ],
  ...['seznambot', 'qwantify', 'exabot', 'ia_archiver', 'archive.org_bot', 'mojeekbot'],
  // previews of links
  ...[
    'facebookexternalhit',
    'twitterbot',
    'linkedinbot',
    'slackbot',
    'telegrambot',
    'discordbot',
    'pinterestbot',
  ],
  // collectors of texts
  ...[
    'gptbot',
    'ccbot',
    'claudebot',
    'bytespider',
    'amazonbot',
    'perplexitybot',
    'diffbot',
    'meta-externalagent',
  ],
  // collectors of links
  ...['ahrefsbot', 'semrushbot', 'mj12bot', 'dotbot', 'blexbot', 'dataforseobot', 'rogerbot', 'serpstatbot'],
  // tools that fetch whole sites, and scanners
  ...['scrapy', 'httrack', 'nikto', 'sqlmap', 'masscan', 'zgrab', 'nutch', 'heritrix'],
]
