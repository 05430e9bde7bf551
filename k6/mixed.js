// mixed: two hundred requests a second of everything a day brings, for thirty seconds: seven market orders in ten, two
// limit orders, one sniper; every tenth market order is watched to its end, every twentieth order is read back.
// Proves that the kinds do not starve each other.
import http from 'k6/http';
import { check } from 'k6';
import { BASE, HEADERS, limit, market, post, price, sniper, STATS, summary } from './orders.js';
import { watch } from './stream.js';

export const options = {
  scenarios: {
    mixed: {
      executor: 'constant-arrival-rate', rate: Number(__ENV.RATE || 200), timeUnit: '1s', duration: __ENV.DURATION || '30s',
      preAllocatedVUs: 150, maxVUs: 600, gracefulStop: '30s',
    },
  },
  summaryTrendStats: STATS,
  thresholds: {
    checks: ['rate==1'], http_req_failed: ['rate==0'], http_req_duration: ['p(95)<150', 'p(99)<400'],
    stream_complete: ['rate==1'], dropped_iterations: ['count==0'],
  },
};
export function setup() {
  return price('SOL-USDC');
}
export default function (best) {
  const n = __ITER + __VU;
  const kind = n % 10;
  const order = kind < 7 ? market() : kind < 9 ? limit(best) : sniper();
  const orderId = post(order, order.type);
  if (orderId === null) return;
  if (n % 20 === 7) {
    const answer = http.get(`${BASE}/api/orders/${orderId}`, { headers: HEADERS, tags: { name: 'read' } });
    check(answer, { 'read back': (r) => r.status === 200 && r.json('orderId') === orderId });
  }
  if (kind === 0) watch(orderId);
}
export { summary as handleSummary };
