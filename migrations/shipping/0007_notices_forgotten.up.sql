-- What a webhook told is in the shipment when it is handled: carriers write names into it.
update shipping.notice set tracking = null where handled_at is not null and tracking is not null;
