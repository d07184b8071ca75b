package invariant

// campaigns are those of Always that are about group buying.
func campaigns() []Invariant {
	return []Invariant{
		{Name: "a campaign knows how many have joined, and has room for them", Schemas: []string{"groupbuy"}, SQL: `
			with people as (
				select tenant_id, campaign_id id, count(*) n, count(distinct user_id) users, count(distinct position) places, max(position) last
				from groupbuy.participant group by tenant_id, campaign_id
			)
			select format('campaign %s: %s to %s, %s have joined; %s participants, %s users at %s places up to %s',
			              id, c.min_participants, c.max_participants, c.actual_participants, p.n, p.users, p.places, p.last)
			from groupbuy.campaign c full join people p using (tenant_id, id)
			where c.actual_participants is distinct from coalesce(p.n, 0) or p.users <> p.n or p.places <> p.n or p.last <> p.n
			   or c.actual_participants > c.max_participants or c.min_participants > c.max_participants`},
		{Name: "nobody joins outside of the time", Schemas: []string{"groupbuy"}, SQL: `
			select format('campaign %s, from %s to %s: %s joined at %s', c.id, c.start_time, c.end_time, p.user_id, p.joined_at)
			from groupbuy.participant p join groupbuy.campaign c on c.tenant_id = p.tenant_id and c.id = p.campaign_id
			where p.joined_at < c.start_time or p.joined_at >= c.end_time`},
		{Name: "a campaign and its facts are one", Schemas: []string{"groupbuy"}, SQL: `
			with said as (
				select tenant_id, subject::uuid id, count(*) facts, count(distinct sequence) versions, max(sequence) last,
				       count(*) filter (where type = 'group-commerce.campaign.joined') joined,
				       count(distinct data->>'participantId') filter (where type = 'group-commerce.campaign.joined') people,
				       count(*) filter (where type = 'group-commerce.campaign.successful') successful,
				       count(*) filter (where type = 'group-commerce.campaign.expired') expired,
				       count(*) filter (where type = 'group-commerce.campaign.cancelled') cancelled
				from platform.event where type like 'group-commerce.campaign.%' and type <> 'group-commerce.campaign.order-due' group by tenant_id, subject
			)
			select format('campaign %s: version %s, %s, %s joined; %s facts of %s versions up to %s, %s of %s people who joined, successful %s, expired %s, cancelled %s times',
			              id, c.version, c.status, c.actual_participants, f.facts, f.versions, f.last, f.joined, f.people, f.successful, f.expired, f.cancelled)
			from groupbuy.campaign c full join said f using (tenant_id, id)
			where (c.version, c.version, c.version, c.actual_participants, c.actual_participants) is distinct from (f.facts, f.versions, f.last, f.joined, f.people)
			   or (f.successful, f.expired, f.cancelled) <> ((c.status = 'successful')::int, (c.status = 'expired')::int, (c.status = 'cancelled')::int)
			   or (c.actual_participants >= c.min_participants) <> (c.status = 'successful')`},
		{Name: "an order is asked for once for each who is to get one", Schemas: []string{"groupbuy"}, SQL: `
			with said as (
				select tenant_id, subject::uuid id, count(*) n from platform.event where type = 'group-commerce.campaign.order-due' group by tenant_id, subject
			)
			select format('participant %s, %s of campaign %s, which is %s: asked for at %s and said %s times', coalesce(p.id, f.id), p.position, p.campaign_id, c.status, p.ordered_at, f.n)
			from groupbuy.participant p full join said f on f.tenant_id = p.tenant_id and f.id = p.id
			left join groupbuy.campaign c on c.tenant_id = p.tenant_id and c.id = p.campaign_id
			where coalesce(f.n, 0) is distinct from (p.ordered_at is not null)::int or p.ordered_at is not null and c.status <> 'successful'
			   or p.id is null or p.ordered_at is null and p.position > c.min_participants`},
		{Name: "one participation is one order", Schemas: []string{"orders"}, SQL: `
			with placed as (select * from orders.orders where metadata ? 'campaignId')
			select format('participant %s of campaign %s: order %s; order %s is for campaign %s', p.participant_id, p.campaign_id, p.order_id, o.id, o.metadata->>'campaignId')
			from orders.participation p full join placed o on o.tenant_id = p.tenant_id and o.id = p.order_id
			where p.campaign_id::text is distinct from o.metadata->>'campaignId'
			union all
			select format('order %s: for %s participants', order_id, count(*)) from orders.participation group by tenant_id, order_id having count(*) > 1`},
	}
}
