// What every scenario shares: where the engine is, its orders, how an answer is judged, what is handed to the runner.
import http from 'k6/http';
import { check } from 'k6';
import { Counter } from 'k6/metrics';

export const BASE = __ENV.BASE_URL || 'http://127.0.0.1:8000';
export const SOCKETS = BASE.replace(/^http/, 'ws');
const JSON_HEADERS = { 'Content-Type': 'application/json' };
export const HEADERS = __ENV.API_KEY ? { Authorization: `Bearer ${__ENV.API_KEY}` } : {};
export const STATS = ['avg', 'p(50)', 'p(95)', 'p(99)', 'max'];
export const accepted = new Counter('orders_accepted');

// Whatever a scenario leaves resting expires by itself.
export const expiry = () => new Date(Date.now() + 60_000).toISOString();

export const market = () => ({ tokenIn: 'SOL', tokenOut: 'USDC', amount: '1.5', type: 'market' });

// Rests: the price would have to rise by a tenth.
export const limit = (now) => ({
  tokenIn: 'SOL', tokenOut: 'USDC', amount: '1.5', type: 'limit', limitPrice: (now * 1.1).toFixed(6), expiresAt: expiry(),
});

// Fires as soon as the pair is looked at: every pool has some liquidity.
export const sniper = () => ({
  tokenIn: 'USDC', tokenOut: 'JUP', amount: '25', type: 'sniper', expiresAt: expiry(),
  trigger: { kind: 'liquidity', minLiquidity: '1' },
});

// The pair's best price now, so that limits lie where a user would put them.
export function price(pair) {
  const answer = http.get(`${BASE}/api/quotes/${pair}`, { headers: HEADERS });
  const found = answer.status === 200 ? Number((answer.json('best') || {}).price) : NaN;
  if (!(found > 0)) throw new Error(`no price for ${pair}: ${answer.status} ${answer.body}`);
  return found;
}

// Posts an order; its id, null where it was not accepted.
export function post(order, name) {
  const answer = http.post(`${BASE}/api/orders/execute`, JSON.stringify(order), {
    headers: Object.assign({}, JSON_HEADERS, HEADERS), tags: { name },
  });
  const taken = check(answer, { accepted: (r) => r.status === 200 });
  if (!taken) return null;
  accepted.add(1);
  return answer.json('orderId');
}

// For the runner's table; k6's own summary still goes to the terminal when a script is run by hand.
export function summary(data) {
  return __ENV.SUMMARY ? { [__ENV.SUMMARY]: JSON.stringify(data) } : {};
}
