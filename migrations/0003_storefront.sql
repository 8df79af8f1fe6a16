-- The shop: what is sold, and the commercial side of an order.

CREATE TABLE product_categories (
  id uuid PRIMARY KEY,
  business_id uuid NOT NULL REFERENCES businesses,
  name text NOT NULL,
  position integer NOT NULL DEFAULT 0,
  UNIQUE (business_id, id)
);
CALL protect('product_categories', 'business_id');

CREATE TABLE products (
  id uuid PRIMARY KEY,
  business_id uuid NOT NULL REFERENCES businesses,
  category_id uuid,
  name text NOT NULL,
  description text NOT NULL DEFAULT '',
  price_minor bigint NOT NULL CHECK (price_minor >= 0),
  available boolean NOT NULL DEFAULT true,
  position integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (business_id, id),
  FOREIGN KEY (business_id, category_id) REFERENCES product_categories (business_id, id)
);
CREATE INDEX products_category ON products (business_id, category_id);
CALL protect('products', 'business_id');

CREATE TABLE orders (
  id uuid PRIMARY KEY,
  business_id uuid NOT NULL REFERENCES businesses,
  store_id uuid NOT NULL,
  customer_id uuid NOT NULL,
  number text NOT NULL,
  status text NOT NULL CHECK (status IN
    ('placed', 'accepted', 'preparing', 'ready', 'out_for_delivery', 'completed', 'rejected', 'canceled')),
  version integer NOT NULL DEFAULT 1,
  payment_method text NOT NULL CHECK (payment_method IN ('cash')),
  payment_status text NOT NULL CHECK (payment_status IN
    ('pending', 'authorized', 'paid', 'partially_refunded', 'refunded', 'failed', 'voided')),
  currency text NOT NULL,
  subtotal_minor bigint NOT NULL CHECK (subtotal_minor >= 0),
  delivery_fee_minor bigint NOT NULL CHECK (delivery_fee_minor >= 0),
  tip_minor bigint NOT NULL DEFAULT 0 CHECK (tip_minor >= 0),
  total_minor bigint NOT NULL CHECK (total_minor = subtotal_minor + delivery_fee_minor + tip_minor),
  dropoff_name text NOT NULL,
  dropoff_phone text NOT NULL DEFAULT '',
  dropoff_address text NOT NULL,
  dropoff_lat double precision NOT NULL,
  dropoff_lng double precision NOT NULL,
  instructions text NOT NULL DEFAULT '',
  placed_at timestamptz NOT NULL,
  ready_at timestamptz,
  promised_at timestamptz,
  updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (business_id, id),
  UNIQUE (business_id, number),
  FOREIGN KEY (business_id, store_id) REFERENCES stores (business_id, id),
  FOREIGN KEY (business_id, customer_id) REFERENCES customers (business_id, id)
);
CREATE INDEX orders_store ON orders (business_id, store_id);
CREATE INDEX orders_customer ON orders (business_id, customer_id);
CREATE INDEX orders_recent ON orders (business_id, placed_at DESC, id DESC);
CALL protect('orders', 'business_id');

CREATE TABLE order_items (
  business_id uuid NOT NULL REFERENCES businesses,
  order_id uuid NOT NULL,
  position integer NOT NULL,
  product_id uuid NOT NULL,
  name text NOT NULL,
  quantity integer NOT NULL CHECK (quantity BETWEEN 1 AND 999),
  price_minor bigint NOT NULL CHECK (price_minor >= 0),
  PRIMARY KEY (business_id, order_id, position),
  FOREIGN KEY (business_id, order_id) REFERENCES orders (business_id, id),
  FOREIGN KEY (business_id, product_id) REFERENCES products (business_id, id)
);
CREATE INDEX order_items_product ON order_items (business_id, product_id);
CALL protect('order_items', 'business_id');

CREATE TABLE order_status_history (
  business_id uuid NOT NULL REFERENCES businesses,
  order_id uuid NOT NULL,
  version integer NOT NULL,
  status text NOT NULL,
  actor text NOT NULL,
  reason text NOT NULL DEFAULT '',
  at timestamptz NOT NULL,
  PRIMARY KEY (business_id, order_id, version),
  FOREIGN KEY (business_id, order_id) REFERENCES orders (business_id, id)
);
CALL protect('order_status_history', 'business_id');
