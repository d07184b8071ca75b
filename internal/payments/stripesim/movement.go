package stripesim

// movement is a balance transaction: what came to the account, or left it.
type movement struct {
	ID       string `json:"id"`
	Object   string `json:"object"`
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
	Fee      int64  `json:"fee"`
	Net      int64  `json:"net"`
	Source   string `json:"source"`
	Status   string `json:"status"`
	Type     string `json:"type"`
	Created  int64  `json:"created"`
}

func (m *movement) name() string    { return m.ID }
func (m *movement) made() int64     { return m.Created }
func (m *movement) view(expand) any { return *m }

func (c *call) move(kind, source, currency string, amount, fee int64) *movement {
	m := &movement{
		ID: c.sim.dice.id("txn"), Object: "balance_transaction", Amount: amount, Currency: currency, Fee: fee, Net: amount - fee,
		Source: source, Status: "available", Type: kind, Created: seconds(c.sim.now()),
	}
	c.acct.movements.add(m)
	return m
}

func retrieveMovement(c *call) (any, error) {
	m, err := c.acct.movements.find("balance_transaction", c.id, "id")
	if err != nil {
		return nil, err
	}
	return m.view(nil), nil
}

func listMovements(c *call) (any, error) {
	source := c.text("source")
	return list(c, &c.acct.movements, "balance_transaction", func(m *movement) bool { return source == "" || m.Source == source })
}
