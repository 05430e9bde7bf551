// market: fifty clients that post market orders with a fifth of a second between two, for thirty seconds.
// Proves that ordinary load (about 250 orders a second) is answered in milliseconds and that nothing is refused.
import { sleep } from 'k6';
import { market, post, STATS, summary } from './orders.js';

export const options = {
  vus: 50,
  duration: __ENV.DURATION || '30s',
  summaryTrendStats: STATS,
  thresholds: { checks: ['rate==1'], http_req_failed: ['rate==0'], http_req_duration: ['p(95)<100', 'p(99)<250'] },
};
export default function () {
  post(market(), 'market');
  sleep(0.2);
}
export { summary as handleSummary };
