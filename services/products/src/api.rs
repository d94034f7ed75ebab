//! HTTP in: create products, restock them, look at them and at the reservations.

use crate::sql;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use contract::events::{ProductCreated, ProductRestocked};
use contract::http::{CreateProduct, Product, Reservation, Restock, STOCK_MAX};
use contract::money::in_range;
use contract::{Cents, ProductId};
use platform::http::{Api, Body, Doc, Id, Listing, Problem, Reply, list};
use platform::idempotency::Key;
use platform::store::Tx;
use platform::{Context, Origin, Result, Said, idempotency};

const NAME_MAX: usize = 200;

pub(crate) fn routes(ctx: &Context) -> Api {
    Api::new(ctx)
        .post(
            "/api/v1/products",
            create,
            Doc::new("Create a product")
                .takes::<CreateProduct>()
                .keyed()
                .gives::<Product>(201, "created"),
        )
        .get(
            "/api/v1/products",
            all,
            Doc::new("List products").lists::<Product>(),
        )
        .get(
            "/api/v1/products/{id}",
            read,
            Doc::new("Look at a product").gives::<Product>(200, "the product"),
        )
        .post(
            "/api/v1/products/{id}/restock",
            restock,
            Doc::new("Add units to the stock")
                .takes::<Restock>()
                .keyed()
                .gives::<Product>(200, "the product after it"),
        )
        .get(
            "/api/v1/reservations",
            reservations,
            Doc::new("List reservation lines").lists::<Reservation>(),
        )
}

struct New {
    product: Product,
    key: Option<Key>,
    now_us: i64,
    reply: Reply,
}

async fn create(State(ctx): State<Context>, body: Body<CreateProduct>) -> Result<Reply> {
    let CreateProduct {
        name,
        price_cents,
        stock,
    } = body.value;
    check_name(&name)?;
    in_range(price_cents.get(), 0, Cents::MAX_PRICE.get())
        .map_err(|e| Problem::invalid("priceCents", e.to_string()))?;
    in_range(stock, 0, STOCK_MAX).map_err(|e| Problem::invalid("stock", e.to_string()))?;
    let id = ProductId(ctx.new_id());
    let product = Product {
        id,
        name,
        price_cents,
        available: stock,
        received: stock,
        version: 1,
    };
    let reply = Reply::created(format!("/api/v1/products/{id}"), &product);
    let new = New {
        product,
        key: body.key,
        now_us: ctx.now_us(),
        reply,
    };
    ctx.commit(Origin::request(body.trace), new, |new, tx, said| {
        Box::pin(store(new, tx, said))
    })
    .await
}

fn check_name(name: &str) -> Result<(), Problem> {
    let length = name.chars().count();
    if name.trim().is_empty() || length > NAME_MAX {
        let message = format!("must have 1 to {NAME_MAX} characters, got {length}");
        return Err(Problem::invalid("name", message));
    }
    // Not every engine can store them, and nobody wants to read them.
    if name.chars().any(char::is_control) {
        return Err(Problem::invalid("name", "must not hold control characters"));
    }
    Ok(())
}

async fn store(new: &New, tx: &dyn Tx, said: &mut Said) -> Result<Reply> {
    let New {
        product,
        key,
        now_us,
        reply,
    } = new;
    if let Some(earlier) = reply.claim(tx, key.as_ref(), *now_us).await? {
        return Ok(earlier);
    }
    sql::insert(tx, product).await?;
    said.push(ProductCreated {
        product_id: product.id,
        name: product.name.clone(),
        price_cents: product.price_cents,
        stock: product.available,
        version: product.version,
    });
    Ok(reply.clone())
}

struct More {
    product_id: ProductId,
    quantity: i64,
    key: Option<Key>,
    now_us: i64,
}

async fn restock(
    State(ctx): State<Context>,
    Id(product_id): Id<ProductId>,
    body: Body<Restock>,
) -> Result<Reply> {
    let quantity = body.value.quantity;
    in_range(quantity, 1, STOCK_MAX).map_err(|e| Problem::invalid("quantity", e.to_string()))?;
    let more = More {
        product_id,
        quantity,
        key: body.key,
        now_us: ctx.now_us(),
    };
    ctx.commit(Origin::request(body.trace), more, |more, tx, said| {
        Box::pin(add(more, tx, said))
    })
    .await
}

async fn add(more: &More, tx: &dyn Tx, said: &mut Said) -> Result<Reply> {
    let &More {
        product_id,
        quantity,
        ref key,
        now_us,
    } = more;
    // The reply tells the stock after the step, so the key is claimed first and its reply filled in at the end.
    let open = Reply::open(StatusCode::OK);
    if let Some(earlier) = open.claim(tx, key.as_ref(), now_us).await? {
        return Ok(earlier);
    }
    let Some(product) = sql::restock(tx, product_id, quantity).await? else {
        return Err(match sql::find(tx, product_id).await? {
            None => Problem::not_found("product", product_id),
            Some(_) => Problem::conflict(
                "quantity",
                "the product would have received more units than can be counted",
            ),
        }
        .into());
    };
    said.push(ProductRestocked {
        product_id,
        quantity,
        available_after: product.available,
        version: product.version,
    });
    let reply = Reply::json(StatusCode::OK, &product);
    if let Some(key) = key {
        idempotency::fill(tx, key, &reply).await?;
    }
    Ok(reply)
}

async fn read(State(ctx): State<Context>, Id(id): Id<ProductId>) -> Result<Response> {
    let product = sql::look(ctx.store(), id)
        .await?
        .ok_or_else(|| Problem::not_found("product", id))?;
    Ok(Reply::json(StatusCode::OK, &product).into_response())
}

async fn all(State(ctx): State<Context>, listing: Listing) -> Result<Response> {
    list(&ctx, listing, |tx, after, n| {
        Box::pin(sql::page(tx, after, n))
    })
    .await
}

async fn reservations(State(ctx): State<Context>, listing: Listing) -> Result<Response> {
    list(&ctx, listing, |tx, after, n| {
        Box::pin(sql::reservations_page(tx, after, n))
    })
    .await
}
