"""What `make run` prints when all is ready: where to go, with which keys, and lines that work as pasted."""

from deploy.local.role_environment import NetworkPlan
from deploy.local.seed import SeededNetwork

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
"""curl names itself, and would be flagged as the robot it is."""


def welcome(plan: NetworkPlan, seeded: SeededNetwork) -> str:
    """The whole text. Paste the three blocks into one shell, in this order."""
    url, redirect = plan.public_url, f"http://127.0.0.1:{plan.ports['clicks-api']}"
    log = "Apache Kafka" if plan.broker.kind == "kafka" else "embedded log"
    return f"""
Tributary is ready ({log}).

  public API and links   {url}
  redirect on its own    {redirect}/c/…

  admin      {seeded.admin_key}
  merchant   {seeded.merchant_key}
  affiliate  {seeded.affiliate_key}
  finance    {seeded.finance_key}

# Affiliate: fetch a link, then click it as a shopper would
curl -s -H 'Authorization: Bearer {seeded.affiliate_key}' '{url}/v1/links?limit=1'; echo
LANDING=$(curl -s -o /dev/null -w '%{{redirect_url}}' -A '{BROWSER}' \\
  '{url}/c/{seeded.sale_offer_id}/{seeded.affiliate_id}?sub1=newsletter')
CLICK_ID=$(echo "$LANDING" | grep -o 'click_id=[0-9a-v]*' | cut -d= -f2); echo "$LANDING"

# Merchant: report the order that click led to
curl -s "{url}/postback?merchant_id={seeded.merchant_id}&event=sale&click_id=$CLICK_ID&order_id=order-$(date +%s)\
&amount=100.00&currency=EUR&token={seeded.postback_token}"; echo

# Finance: the affiliate's statement of this month, a moment later
sleep 2; curl -s -H 'Authorization: Bearer {seeded.finance_key}' \\
  "{url}/v1/statements?affiliate_id={seeded.affiliate_id}&period=$(date -u +%Y-%m)&currency=EUR&format=json"; echo

Stop with Ctrl-C, or `make stop` elsewhere. Nothing is lost by it.
"""
