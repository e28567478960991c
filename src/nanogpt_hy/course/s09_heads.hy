"Step 9: several heads side by side, for a token has more than one thing to
ask.

Each head is small, so that all of them together cost as much as a single large
one."

(eval-when-compile
  (require nanogpt-hy.notation [deflayer]))
(import  torch
         torch.nn :as nn
         nanogpt-hy.course.s08-head [Head])

(deflayer Heads [n-embd n-head * [dropout 0.0]]
  "(B T C) -> (B T C): what each head found, one after the other along the
  channels."
  [heads (nn.ModuleList
           (lfor  _ (range n-head)
             (Head n-embd (// n-embd n-head) :dropout dropout)))]
  (forward [self x]
    (torch.cat (lfor  head self.heads  (head x)) :dim -1)))   ; of (B T D) each

(deflayer MultiHeadAttention [n-embd n-head * [dropout 0.0]]
  "(B T C) -> (B T C): the heads' findings, mixed again by a linear layer, the
  projection."
  [heads   (Heads n-embd n-head :dropout dropout)
   project (nn.Linear n-embd n-embd)
   drop    (nn.Dropout dropout)]
  (forward [self x]
    (self.drop (self.project (self.heads x)))))
