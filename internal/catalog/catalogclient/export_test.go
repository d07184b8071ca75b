package catalogclient

import "time"

// Within has the client lose its patience sooner.
func (c *Client) Within(patience time.Duration) *Client {
	c.patience = patience
	return c
}
