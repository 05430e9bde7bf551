// limit: thirty clients that post resting limit orders as fast as they are answered, for twenty seconds.
// Proves that arming an order's trigger keeps pace with taking it in. The orders rest a tenth above the market and expire
// by themselves after a minute.
import { limit, post, price, STATS, summary } from './orders.js';

export const options = {
  vus: 30,
  duration: __ENV.DURATION || '20s',
  summaryTrendStats: STATS,
  thresholds: { checks: ['rate==1'], http_req_failed: ['rate==0'], http_req_duration: ['p(95)<150', 'p(99)<300'] },
};
export function setup() {
  return price('SOL-USDC');
}
export default function (best) {
  post(limit(best), 'limit');
}
export { summary as handleSummary };
