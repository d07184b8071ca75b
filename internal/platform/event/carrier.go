package event

import (
	"context"
	"errors"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Carrier takes the facts of this database to the consumers, wherever they are, and
// brings those of others: Kafka does. Without one the database itself carries them, to
// its own consumers only.
//
// It carries each fact at least once and the facts of one subject in order. That its
// effect comes once, that a failing one is tried again and that it holds up only its own
// subject is the same with and without it: what arrives is written to the log and
// delivered from there.
type Carrier interface {
	// Publish hands messages over. When it returns nil they cannot be lost any more.
	message.Publisher
	// Topics that it carries.
	Topics() []string
	// Prepare makes the topics. It is called again until it succeeds.
	Prepare(ctx context.Context) error
	// Check tells whether facts can be carried now.
	Check(ctx context.Context) error
	// Subscriber hears a topic for one consumer of a deployment, from the topic's beginning.
	Subscriber(consumer, deployment string) (message.Subscriber, error)
}

// ErrRefused is a message that the carrier will never take, whoever tries again.
var ErrRefused = errors.New("the carrier refuses the message")

// Unreadable is the topic where what is no fact is kept for a person to look at.
const Unreadable = "fusion.unreadable"

// Names of what a carried message tells besides the envelope.
const (
	MetadataSubject = "subject" // the key: messages with one keep their order
	MetadataType    = "type"
	MetadataTenant  = "tenantId"
	// MetadataDeployment is the database that recorded the fact, in the life that it led then.
	MetadataDeployment = "deployment"
)
