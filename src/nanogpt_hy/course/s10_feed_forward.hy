"Step 10: after the tokens have talked, each thinks about what it heard, for
itself."

(eval-when-compile
  (require hyrule [->]
           nanogpt-hy.notation [deflayer]))
(import  torch.nn :as nn
         torch.nn.functional :as F)

(deflayer FeedForward [n-embd * [dropout 0.0]]
  "(B T C) -> (B T C): four times as wide, what is negative cut off, and back;
  no position sees another."
  [widen  (nn.Linear n-embd (* 4 n-embd))
   narrow (nn.Linear (* 4 n-embd) n-embd)
   drop   (nn.Dropout dropout)]
  (forward [self x]
    (-> x              ; (B T C)
        self.widen     ; (B T 4C)
        F.relu
        self.narrow    ; (B T C)
        self.drop)))
