package kafka

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/IBM/sarama"
)

// topicsFile declares every topic that the program makes.
//
//go:embed topics.json
var topicsFile []byte

// Declared is what topics.json says.
type Declared struct {
	Partitions int32             `json:"partitions"` // of a topic that does not say otherwise
	Config     map[string]string `json:"config"`     // of every topic
	Topics     map[string]Topic  `json:"topics"`
}

// Topic is what one of them says for itself.
type Topic struct {
	Partitions int32 `json:"partitions"`
}

// Topics reads the declaration.
func Topics() (Declared, error) {
	var d Declared
	if err := json.Unmarshal(topicsFile, &d); err != nil {
		return Declared{}, fmt.Errorf("topics.json: %w", err)
	}
	return d, nil
}

// PartitionsOf a topic. They never change once the topic is there: what a key's messages
// follow is the number of partitions.
func (d Declared) PartitionsOf(topic string) int32 {
	if n := d.Topics[topic].Partitions; n > 0 {
		return n
	}
	return d.Partitions
}

// copies of each topic: as many as wanted; when nobody says, three, which is what survives
// the loss of one broker while another is being serviced, or as many as there are brokers.
func copies(wanted, brokers int) int {
	if wanted > 0 {
		return wanted
	}
	return max(1, min(3, brokers))
}

// prepare makes the topics that are missing. One that is there is left as it is.
func prepare(admin sarama.ClusterAdmin, d Declared, prefix string, replication int) error {
	brokers, _, err := admin.DescribeCluster()
	if err != nil {
		return fmt.Errorf("describe the cluster: %w", err)
	}
	there, err := admin.ListTopics()
	if err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	factor := copies(replication, len(brokers))
	insync := strconv.Itoa(max(1, factor-1))
	entries := map[string]*string{"min.insync.replicas": &insync}
	for k, v := range d.Config {
		entries[k] = &v
	}
	for _, topic := range slices.Sorted(maps.Keys(d.Topics)) {
		if _, ok := there[prefix+topic]; ok {
			continue
		}
		detail := &sarama.TopicDetail{NumPartitions: d.PartitionsOf(topic), ReplicationFactor: int16(factor), ConfigEntries: entries} //nolint:gosec // a handful
		if err := admin.CreateTopic(prefix+topic, detail, false); err != nil && !errors.Is(err, sarama.ErrTopicAlreadyExists) {
			return fmt.Errorf("make topic %s with %d copies: %w", prefix+topic, factor, err)
		}
	}
	return nil
}
