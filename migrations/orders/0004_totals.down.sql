-- Orders keep what was paid for them; what it was made of is forgotten.
drop table orders.allocation, orders.discount_line, orders.tax_line;
alter table orders.line
    drop constraint line_total_check,
    drop column tax_minor,
    drop column discount_minor,
    add constraint line_total_check check (total_minor = quantity * price_minor) not valid;
-- It is true of every line only where nothing was reduced and no tax was added.
do $$
begin
    alter table orders.line validate constraint line_total_check;
exception when check_violation then
    null;
end $$;
alter table orders.orders
    drop column ticket,
    drop column cart_id,
    drop column billing_address,
    drop column shipping_total_minor,
    drop column shipping_tax_minor,
    drop column shipping_discount_minor,
    drop column shipping_name,
    drop column shipping_method_id,
    drop column tax_included,
    drop column tax_minor,
    drop column shipping_minor,
    drop column discount_minor,
    drop column subtotal_minor;
