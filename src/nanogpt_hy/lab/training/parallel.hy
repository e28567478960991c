"A model over many processes: whole in each, or each holding a part of it.

Whole: torch's DistributedDataParallel averages the gradients of all processes while they are being
computed. In parts: fully_shard leaves each process a part of every weight, gradient and moment;
the weights of one block at a time are put together when it computes. To a file goes, and out of
one comes, what a single process would have: whole tensors under the model's own names."

(eval-when-compile
  (require hyrule [unless]
           nanogpt-hy.notation [deflayer]))
(import  contextlib [nullcontext]
         warnings
         torch
         torch.nn :as nn
         torch.nn.parallel [DistributedDataParallel]
         nanogpt-hy.course [Block]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.fast [FastBlock]
         nanogpt-hy.lab.training.device [choose-device]
         nanogpt-hy.lab.training.launch [ALONE])

(defn own-device [group name]
  "auto, cpu, cuda… -> torch.device, reason: where this process computes; each has its own GPU."
  (when (is group ALONE)
    (return (choose-device name)))
  (when (not-in name ["auto" "cpu" "cuda"])
    (raise (RequestError (+ f"--device {name} cannot be shared by {group.size} processes: use cpu, "
                            "or cuda, which gives each of them a GPU of its own"))))
  (when (or (= name "cpu") (not (torch.cuda.is-available)))
    (return (if (= name "auto")
              [(torch.device "cpu") "no CUDA GPU found"]
              (choose-device name))))
  (when (>= group.local-rank (torch.cuda.device-count))
    (raise (RequestError (+ f"this machine has {(torch.cuda.device-count)} GPUs, too few for "
                            f"{group.local-size} processes: start fewer, or use --device cpu"))))
  (setv [device _] (choose-device f"cuda:{group.local-rank}"))
  (torch.cuda.set-device device)
  [device "each process has its own"])

;;; One model in all processes

(deflayer Together [model batches]
  "(B T) -> (B T V): what MODEL, which all processes have, makes of this one's rows. Gradients are
  averaged after the last of the BATCHES of a step: after each it would only take longer."
  [averaging (DistributedDataParallel model)
   batches   batches
   seen      0]
  (forward [self ids]
    (unless (torch.is-grad-enabled)
      (return (self.averaging ids)))
    (setv self.seen (% (+ self.seen 1) self.batches))
    (with [_ (if self.seen (.no-sync self.averaging) (nullcontext))]
      (self.averaging ids))))

(defn together [group model batches]
  "MODEL -> what to call for each of the BATCHES of a step, so that the weights move alike in all
  processes of GROUP. One in parts averages by itself, after each batch: until then every process
  would have to hold the whole gradient."
  (if (or (is group ALONE) (is-sharded model))
    model
    (Together model batches)))

;;; A part in each

(defn placed [group model device dtype shard]
  "MODEL on the DEVICE: all of it, or, if SHARD, this process's part; it computes in DTYPE."
  (if (and shard (is-not group ALONE))
    (sharded model device dtype group.size)
    (.to model device)))

(defn sharded [model device dtype size]
  "MODEL, of which each of SIZE processes keeps a part on its DEVICE. Blocks go there one by one: no
  device has to hold all of it at once, as long as the memory of the machine does. What is put
  together of it to compute is of the DTYPE."
  (import torch.distributed.device-mesh [init-device-mesh]
          torch.distributed.fsdp [fully-shard MixedPrecisionPolicy])
  ;; The logits of the course's models are a view of what lm-head computes; nothing is added to it.
  (warnings.filterwarnings "ignore" "FSDP2-wrapped module .* returned a view" UserWarning)
  (setv how {"mesh"      (init-device-mesh device.type #(size))
             "mp_policy" (MixedPrecisionPolicy :param-dtype dtype :reduce-dtype torch.float32
                                               :cast-forward-inputs False)})
  (for [block (.modules model)  :if (isinstance block #(Block FastBlock))]
    (fully-shard block #** how))
  (fully-shard model #** how))

(defn is-sharded [model]
  (any (gfor  w (.parameters model)  (hasattr w "full_tensor"))))

(defn gathered [group tensors]
  "{name: tensor} -> {name: tensor}: parts put together, in the first process; the others, which
  contribute theirs, keep nothing."
  (when (is group ALONE)
    (return tensors))
  (setv out {})
  ;; All take the same turns: a dict that comes from a file has another order in each process.
  (for [[name t] (sorted (.items tensors))]
    (setv t (if (hasattr t "full_tensor") (.full-tensor t) t))
    (when group.leads
      (setv (get out name) (.cpu t))))
  out)

(defn part-of [tensor like]
  "A whole TENSOR -> the part of it that this process has of the tensor LIKE, if that is in parts."
  (unless (and (hasattr like "full_tensor") (= tensor.shape like.shape))
    (return tensor))
  (import torch.distributed.tensor [distribute-tensor])
  (distribute-tensor (.to tensor like.device) like.device-mesh like.placements :src-data-rank None))

(defn parts-of [tensors model]
  "{name: whole tensor} -> the same; the `model.…` among them in parts, if those of MODEL are."
  (setv own (.state-dict model))
  (dfor  [name t] (.items tensors)  name (part-of t (.get own (.removeprefix name "model.")))))
