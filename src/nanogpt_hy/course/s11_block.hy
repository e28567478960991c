"Step 11: blocks of talking and thinking, and the three small things that a
deep stack is trained with.

Residual: a layer adds to x instead of replacing it, which gives the gradient a
straight way down.
Layer norm: the channels of each position are brought to mean 0 and spread 1,
then scaled and shifted as learned. It looks at one position only, never along
the text or across the batch.
Dropout: while training each number is zeroed with some chance, and the others
are enlarged to make up for it, so that no number can be relied on alone. It
stands at three places: after the softmax of attention (where rows then no
longer sum to 1), after the projection, after feed-forward."

(eval-when-compile
  (require nanogpt-hy.notation [deflayer]))
(import  torch.nn :as nn
         nanogpt-hy.course.s09-heads [MultiHeadAttention]
         nanogpt-hy.course.s10-feed-forward [FeedForward])

(deflayer Residual [layer]
  "(B T C) -> (B T C): x, and what LAYER makes of it on top."
  [layer layer]
  (forward [self x]
    (+ x (self.layer x))))

(deflayer PreNorm [n-embd layer]
  "(B T C) -> (B T C): LAYER, given its input normed. The paper of 2017 normed
  the sum instead."
  [norm  (nn.LayerNorm n-embd)
   layer layer]
  (forward [self x]
    (self.layer (self.norm x))))

(deflayer Block [n-embd n-head * [dropout 0.0]]
  "(B T C) -> (B T C): talk, then think."
  [talk  (Residual
           (PreNorm n-embd (MultiHeadAttention n-embd n-head :dropout dropout)))
   think (Residual
           (PreNorm n-embd (FeedForward n-embd :dropout dropout)))]
  (forward [self x]
    (self.think (self.talk x))))

(defn stack [n make-layer]
  "(B T C) -> (B T C): n layers, one upon the other, made by a function: each
  has its own weights."
  (nn.Sequential #* (lfor  _ (range n)  (make-layer))))
