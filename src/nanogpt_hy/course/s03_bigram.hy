"Step 3: the simplest model, a table with one row for each token.

Row i holds the logits of what follows token i: any numbers, neither
probabilities nor counts. Softmax makes probabilities of them, training makes
them true."

(eval-when-compile
  (require nanogpt-hy.notation [deflayer]))
(import  torch.nn :as nn
         torch.nn.functional :as F)

(deflayer Bigram [vocab-size]
  "(B T) -> (B T V): each token looks up its row, and knows nothing of the
  tokens before it."
  [table (nn.Embedding vocab-size vocab-size)]
  (forward [self ids]
    (self.table ids)))

(defn cross-entropy [logits targets]
  "(B T V) (B T) -> (): the mean surprise, -ln of the probability given to what
  came, in nats per token. A model that guesses among V tokens has ln V: 4.17
  for 65 characters."
  (F.cross-entropy (.flatten logits 0 1) (.flatten targets)))   ; (B*T V) (B*T)
