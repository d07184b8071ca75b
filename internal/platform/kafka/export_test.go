package kafka

import "github.com/IBM/sarama"

// What specs look at without a cluster.
var Copies = copies

// Settings are what the library is told.
func (o Options) Settings() (*sarama.Config, error) { return o.settings() }

// ForOneGroup is what a consumer's group is told.
var ForOneGroup = forOneGroup
