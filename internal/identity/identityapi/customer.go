package identityapi

// CustomerErased says that the personal data of a customer is to be forgotten. Whoever
// keeps some by the customer's id forgets it; what was bought, and for how much, stays.
type CustomerErased struct {
	CustomerID string `json:"customerId"`
}

// EventType is the topic.
func (CustomerErased) EventType() string { return "customer.erased" }

// EventKey is the customer.
func (c CustomerErased) EventKey() string { return c.CustomerID }

// EventSequence counts what happened to the customer; nothing comes after it.
func (CustomerErased) EventSequence() int64 { return 2 }
